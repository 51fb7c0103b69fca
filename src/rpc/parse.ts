/** From a schema's refusal to one line for an administrator: the field first, then what is wrong with it. */
import type { z } from 'zod';
import { VzvaultError } from '../lib/errors.js';

/** How many problems are told; a caller that is wrong in everything needs no list of it. */
const toldIssues = 3;

/** The value as the schema types it. Throws E_ARGUMENT_INVALID, naming the method and the fields. */
export function parseWith<T extends z.ZodType>(schema: T, value: unknown, method: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const told = parsed.error.issues.slice(0, toldIssues).map((issue) => {
    const field = issue.path.map(String).join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  throw new VzvaultError('E_ARGUMENT_INVALID', `${method}: ${told.join('; ')}`);
}
