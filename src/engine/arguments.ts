/** Checks of what is handed to the addon, which itself trusts its arguments' ranges. All throw E_ARGUMENT_INVALID. */
import { VzvaultError } from '../lib/errors.js';

export function requireInteger(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `${name} is ${value}, not an integer from ${least} to ${most}`);
}

/** A path that the kernel can take: absolute, without NUL (which would cut it short). */
export function requirePath(name: string, value: string): string {
  if (value.startsWith('/') && !value.includes('\0')) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `${name} is ${JSON.stringify(value)}, not an absolute path`);
}

export function requireText(name: string, value: string): string {
  if (!value.includes('\0')) return value;
  throw new VzvaultError('E_ARGUMENT_INVALID', `${name} holds a NUL character`);
}
