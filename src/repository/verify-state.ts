/**
 * What the last verification of a snapshot found (docs/format.md, "Document", kind 4): the content of the sidecar `verify-state`. Pure.
 *
 * A snapshot without one was never verified. One that was found damaged stays a snapshot, since what is left of it may be all
 * that there is, but nothing builds on it.
 */

import { z } from 'zod';
import { VzvaultError } from '../lib/errors.js';
import { formatSnapshotId, type SnapshotId } from '../lib/guest.js';
import { repositoryLimits } from '../lib/limits.js';
import { formatIsoTime, parseIsoTime } from '../lib/time.js';
import { utcTimeSchema } from './schemas.js';

export interface VerifyState {
  readonly state: 'ok' | 'damaged';
  readonly checkedAtSeconds: number;
  /** Of one that is damaged, what was found first; may be empty. */
  readonly message: string;
  /**
   * Of one that is damaged by nothing but chunks that are missing: which, as `data:<id>` (docs/format.md). Absent: there are too many, or more than
   * that is wrong. Only a verification clears it then.
   */
  readonly missing?: readonly string[];
}

const schema = z.object({
  state: z.enum(['ok', 'damaged']),
  checkedAt: utcTimeSchema,
  message: z.string(),
  missing: z
    .union([
      z.literal('many'),
      z.array(z.string().regex(/^(?:data|map-node|catalogue):[0-9a-f]{64}$/)).max(repositoryLimits.missingChunks),
    ])
    .optional(),
});

/** A message that is too long is cut. */
export function encodeVerifyState({ state, checkedAtSeconds, message, missing }: VerifyState): Buffer {
  // Half a character is no text.
  const cut = message.slice(0, repositoryLimits.verifyMessageCharacters).replace(/[\uD800-\uDBFF]$/, '');
  const fields = { state, checkedAt: formatIsoTime(checkedAtSeconds), message: cut };
  const isListed = missing !== undefined && missing.length <= repositoryLimits.missingChunks;
  const chunks = state === 'ok' ? {} : { missing: isListed ? missing : 'many' };
  return Buffer.from(JSON.stringify({ ...fields, ...chunks }), 'utf8');
}

/** Reads the opened document beside the snapshot `id`; E_SNAPSHOT_DAMAGED. */
export function decodeVerifyState(plain: Buffer, id: SnapshotId): VerifyState {
  const parsed = schema.safeParse(parseJson(plain, id));
  if (!parsed.success) throw damaged(id, z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' '));
  const { state, checkedAt, message, missing = 'many' } = parsed.data;
  const chunks = state === 'ok' || missing === 'many' ? {} : { missing };
  return { state, checkedAtSeconds: parseIsoTime(checkedAt) ?? 0, message, ...chunks };
}

function parseJson(plain: Buffer, id: SnapshotId): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plain));
  } catch {
    throw damaged(id, 'it is not JSON');
  }
}

function damaged(id: SnapshotId, why: string): VzvaultError {
  return new VzvaultError('E_SNAPSHOT_DAMAGED', `reading the verify-state of ${formatSnapshotId(id)}: ${why}`);
}
