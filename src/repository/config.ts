/**
 * The `config` file of a repository (docs/format.md, "Config"): two lines, a JSON object and the SHA-256 of that line.
 *
 * Pure. The number of the format is looked at before anything else, also where the checksum does not match: a newer format may
 * have another checksum, and its name is what the administrator needs to hear.
 */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { VzvaultError } from '../lib/errors.js';
import { randomId } from '../lib/ids.js';
import { formatIsoTime, parseIsoTime } from '../lib/time.js';
import { formatBytes, KIB } from '../lib/units.js';
import { idSchema, utcTimeSchema } from './schemas.js';

export const FORMAT = 1;
export const CHUNK_SIZES = [256 * KIB, 512 * KIB, 1024 * KIB, 4096 * KIB] as const;
export const DEFAULT_CHUNK_SIZE_BYTES = 512 * KIB;

const SUITES: ReadonlySet<string> = new Set(['none', 'aes-256-gcm']);

export interface RepositoryConfig {
  readonly repositoryId: string;
  readonly createdAtSeconds: number;
  readonly chunkSizeBytes: number;
  readonly suite: 'none' | 'aes-256-gcm';
  /** Of the repository's secret; null where it is not encrypted. */
  readonly keyFingerprint: string | null;
}

const commonFields = {
  repositoryId: idSchema,
  createdAt: utcTimeSchema,
  chunkSizeBytes: z.number().refine(isChunkSize, 'not a chunk size'),
};

const configSchema = z.discriminatedUnion('suite', [
  z.object({ ...commonFields, hash: z.literal('sha256'), suite: z.literal('none'), keyFingerprint: z.null() }),
  z.object({
    ...commonFields,
    hash: z.literal('hmac-sha256'),
    suite: z.literal('aes-256-gcm'),
    keyFingerprint: idSchema,
  }),
]);

export function isChunkSize(bytes: number): boolean {
  return (CHUNK_SIZES as readonly number[]).includes(bytes);
}

/** The config of a new repository, encrypted where there is a fingerprint; E_ARGUMENT_INVALID for a chunk size that format 1 does not have. */
export function newConfig(options: {
  chunkSizeBytes: number;
  createdAtSeconds: number;
  keyFingerprint?: string | null;
}): RepositoryConfig {
  if (!isChunkSize(options.chunkSizeBytes)) {
    const choices = CHUNK_SIZES.map((size) => formatBytes(size)).join(', ');
    throw new VzvaultError('E_ARGUMENT_INVALID', `the chunk size must be one of ${choices}`);
  }
  const { chunkSizeBytes, createdAtSeconds, keyFingerprint = null } = options;
  const suite = keyFingerprint === null ? 'none' : 'aes-256-gcm';
  return { repositoryId: randomId(), createdAtSeconds, chunkSizeBytes, suite, keyFingerprint };
}

export function encodeConfig(config: RepositoryConfig): Buffer {
  const line = JSON.stringify({
    format: FORMAT,
    repositoryId: config.repositoryId,
    createdAt: formatIsoTime(config.createdAtSeconds),
    chunkSizeBytes: config.chunkSizeBytes,
    hash: config.suite === 'none' ? 'sha256' : 'hmac-sha256',
    suite: config.suite,
    keyFingerprint: config.keyFingerprint,
  });
  return Buffer.from(`${line}\n${checksumOf(line)}\n`, 'utf8');
}

/**
 * Reads a config; `where` names the file in messages. E_FORMAT_UNKNOWN, E_SUITE_UNKNOWN for an intact one that asks for
 * what this version does not know, E_CONFIG_INVALID for anything that is not as it was written.
 */
export function decodeConfig(bytes: Buffer, where: string): RepositoryConfig {
  const text = bytes.toString('utf8');
  const [line = '', checksum = '', rest, ...more] = text.split('\n');
  const fields = parseObject(line, where);
  if (fields['format'] !== FORMAT) {
    if (!Number.isSafeInteger(fields['format'])) throw invalid(where, 'it names no format');
    throw new VzvaultError(
      'E_FORMAT_UNKNOWN',
      `${where} is of format ${String(fields['format'])}, this is vzvault for format ${FORMAT}`,
    );
  }
  if (rest !== '' || more.length > 0) throw invalid(where, 'it does not have exactly two lines');
  if (checksum !== checksumOf(line)) throw invalid(where, 'its checksum does not match');
  if (typeof fields['suite'] === 'string' && !SUITES.has(fields['suite'])) {
    throw new VzvaultError('E_SUITE_UNKNOWN', `${where} asks for the suite '${fields['suite']}'`);
  }
  const parsed = configSchema.safeParse(fields);
  if (!parsed.success) throw invalid(where, z.prettifyError(parsed.error));
  const { repositoryId, createdAt, chunkSizeBytes, suite, keyFingerprint } = parsed.data;
  return { repositoryId, createdAtSeconds: parseIsoTime(createdAt) ?? 0, chunkSizeBytes, suite, keyFingerprint };
}

function parseObject(line: string, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw invalid(where, 'its first line is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(where, 'its first line is not a JSON object');
  }
  return value as Record<string, unknown>;
}

function checksumOf(line: string): string {
  return `sha256:${createHash('sha256').update(line, 'utf8').digest('hex')}`;
}

function invalid(where: string, why: string): VzvaultError {
  return new VzvaultError('E_CONFIG_INVALID', `reading ${where}: ${why}`);
}
