/**
 * A key document (docs/format.md, "Keys"): the repository's secret, sealed by one key or by one passphrase. Pure.
 *
 * Three lines: a JSON object, to which the sealing is bound byte for byte, the sealed secret, and a checksum by which damage is told from a wrong
 * passphrase. The name of the file is the fingerprint of what opens it.
 */

import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { VzvaultError } from '../../lib/errors.js';
import { keyLimits } from '../../lib/limits.js';
import { formatIsoTime, parseIsoTime } from '../../lib/time.js';
import { idSchema, utcTimeSchema } from '../schemas.js';
import {
  fingerprintOfKey,
  fingerprintOfSecret,
  keyOfPassphrase,
  newScrypt,
  openKey,
  SALT_BYTES,
  SEALED_KEY_BYTES,
  sealKey,
  wipe,
  type ScryptParameters,
} from './key-material.js';

/** What shall open a repository from now on. The Buffers stay the caller's. */
export type Protector =
  | { readonly kind: 'key'; readonly key: Buffer; readonly label: string }
  /** `scryptCost`: keyLimits.scryptCost where it is not given. */
  | { readonly kind: 'passphrase'; readonly passphrase: Buffer; readonly label: string; readonly scryptCost?: number };

export interface KeyDocument {
  readonly repositoryId: string;
  readonly fingerprint: string;
  /** For people: whose key it is. */
  readonly label: string;
  readonly createdAtSeconds: number;
  /** Null where a key opens it, else how a passphrase does. */
  readonly scrypt: ScryptParameters | null;
  readonly salt: Buffer;
  /** What the sealing is bound to: the first line. */
  readonly context: Buffer;
  readonly sealed: Buffer;
}

export const saltSchema = z.string().regex(new RegExp(`^[0-9a-f]{${SALT_BYTES * 2}}$`));

export const scryptSchema = z.object({
  N: z.int().refine((cost) => isScryptCost(cost), 'not a cost that is allowed'),
  r: z.literal(8),
  p: z.literal(1),
  salt: saltSchema,
});

const headerSchema = z.object({
  version: z.literal(1),
  repositoryId: idSchema,
  fingerprint: idSchema,
  label: z.string().max(keyLimits.labelCharacters),
  createdAt: utcTimeSchema,
  scrypt: scryptSchema.nullable(),
  salt: saltSchema,
});

/** Powers of two only, as scrypt asks, and none that would take minutes or all memory. */
function isScryptCost(cost: number): boolean {
  return cost >= keyLimits.scryptCostMin && cost <= keyLimits.scryptCostMax && Number.isInteger(Math.log2(cost));
}

export function scryptOf({ N, salt }: z.infer<typeof scryptSchema>): ScryptParameters {
  return { cost: N, salt: Buffer.from(salt, 'hex') };
}

export function scryptToJson({ cost, salt }: ScryptParameters): z.infer<typeof scryptSchema> {
  return { N: cost, r: 8, p: 1, salt: salt.toString('hex') };
}

/** Seals the secret; answers the file's name in `keys/` and its bytes. */
export async function makeKeyDocument(
  secret: Buffer,
  protector: Protector,
  { repositoryId, createdAtSeconds }: { readonly repositoryId: string; readonly createdAtSeconds: number },
): Promise<{ fingerprint: string; bytes: Buffer }> {
  const scrypt = protector.kind === 'passphrase' ? newScrypt(protector.scryptCost) : null;
  const key =
    protector.kind === 'passphrase' && scrypt !== null
      ? await keyOfPassphrase(protector.passphrase, scrypt)
      : Buffer.from(protector.kind === 'key' ? protector.key : []);
  try {
    const fingerprint = fingerprintOfKey(key);
    const salt = randomBytes(SALT_BYTES);
    const header: z.infer<typeof headerSchema> = {
      version: 1,
      repositoryId,
      fingerprint,
      label: protector.label.slice(0, keyLimits.labelCharacters),
      createdAt: formatIsoTime(createdAtSeconds),
      scrypt: scrypt === null ? null : scryptToJson(scrypt),
      salt: salt.toString('hex'),
    };
    const line = JSON.stringify(header);
    const sealed = sealKey(secret, key, salt, Buffer.from(line, 'utf8')).toString('base64');
    const text = `${line}\n${sealed}\n`;
    return { fingerprint, bytes: Buffer.from(`${text}${checksumOf(text)}\n`, 'utf8') };
  } finally {
    wipe(key);
  }
}

/** E_CONFIG_INVALID for anything that is not as it was written under this name. */
export function parseKeyDocument(bytes: Buffer, fingerprint: string, where: string): KeyDocument {
  const text = bytes.toString('utf8');
  const [line = '', sealedText = '', checksum, rest, ...more] = text.split('\n');
  if (rest !== '' || more.length > 0 || !Buffer.from(text, 'utf8').equals(bytes))
    throw invalid(where, 'it does not have exactly three lines of text');
  if (checksum !== checksumOf(`${line}\n${sealedText}\n`)) throw invalid(where, 'its checksum does not match');
  const parsed = headerSchema.safeParse(jsonOf(line));
  if (!parsed.success) throw invalid(where, z.prettifyError(parsed.error));
  const header = parsed.data;
  if (header.fingerprint !== fingerprint) throw invalid(where, `it is that of the key ${header.fingerprint}`);
  const sealed = Buffer.from(sealedText, 'base64');
  if (sealed.length !== SEALED_KEY_BYTES || sealed.toString('base64') !== sealedText)
    throw invalid(where, 'its second line is no sealed key');
  return {
    repositoryId: header.repositoryId,
    fingerprint,
    label: header.label,
    createdAtSeconds: parseIsoTime(header.createdAt) ?? 0,
    scrypt: header.scrypt === null ? null : scryptOf(header.scrypt),
    salt: Buffer.from(header.salt, 'hex'),
    context: Buffer.from(line, 'utf8'),
    sealed,
  };
}

/** The repository's secret by a key; null where the key does not open it, or where it holds another secret. The caller's to wipe. */
export function openKeyDocument(document: KeyDocument, key: Buffer, keyFingerprint: string): Buffer | null {
  const secret = openKey(document.sealed, key, document.salt, document.context);
  if (secret !== null && fingerprintOfSecret(secret) === keyFingerprint) return secret;
  wipe(secret);
  return null;
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

function checksumOf(text: string): string {
  return `sha256:${createHash('sha256').update(text, 'utf8').digest('hex')}`;
}

function invalid(where: string, why: string): VzvaultError {
  return new VzvaultError('E_CONFIG_INVALID', `reading ${where}: ${why}`);
}
