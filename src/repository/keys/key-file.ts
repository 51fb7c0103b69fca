/**
 * A key file: a key on a node, plain or sealed by a passphrase (docs/operations.md, "Encryption"). JSON, so that Proxmox VE can carry it.
 *
 * It is local (`/etc/pve/priv` is pmxcfs), so it is read with node:fs. One that others can read is refused, since then it is no secret. It may hold
 * a key that a document in `keys/` knows, or the repository's secret itself, which was restored from a recovery sheet: who opens a repository tries both.
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import { hasCode, toVzvaultError, VzvaultError } from '../../lib/errors.js';
import { randomId } from '../../lib/ids.js';
import { keyLimits } from '../../lib/limits.js';
import { formatIsoTime, parseIsoTime } from '../../lib/time.js';
import { idSchema, utcTimeSchema } from '../schemas.js';
import { saltSchema, scryptOf, scryptSchema, scryptToJson } from './key-document.js';
import {
  fingerprintOfKey,
  KEY_BYTES,
  keyOfPassphrase,
  newScrypt,
  openKey,
  SALT_BYTES,
  SEALED_KEY_BYTES,
  sealKey,
  wipe,
  type ScryptParameters,
} from './key-material.js';

export interface KeyFile {
  /** Of the key in it. */
  readonly fingerprint: string;
  /** The repository that it was made for; null where nobody said. It may open others as well. */
  readonly repositoryId: string | null;
  readonly createdAtSeconds: number;
  readonly key:
    | { readonly kind: 'plain'; readonly bytes: Buffer }
    | { readonly kind: 'sealed'; readonly scrypt: ScryptParameters; readonly salt: Buffer; readonly sealed: Buffer };
}

/** One whose key can be read. */
export interface PlainKeyFile extends KeyFile {
  readonly key: { readonly kind: 'plain'; readonly bytes: Buffer };
}

/** Asks for a passphrase, of `what`; null where nobody can answer or nobody wants to. The Buffer is the caller's to wipe. */
export type AskPassphrase = (what: string) => Promise<Buffer | null>;

const base64 = (bytes: number): z.ZodType<string> =>
  z.string().refine(
    (text) => {
      const decoded = Buffer.from(text, 'base64');
      return decoded.length === bytes && decoded.toString('base64') === text;
    },
    `not ${String(bytes)} bytes in base64`,
  );

const schema = z.object({
  vzvaultKey: z.literal(1),
  fingerprint: idSchema,
  repositoryId: idSchema.nullish(),
  createdAt: utcTimeSchema,
  key: base64(KEY_BYTES).optional(),
  sealed: z.object({ scrypt: scryptSchema, salt: saltSchema, key: base64(SEALED_KEY_BYTES) }).optional(),
});

/** The file of a plain key. The Buffer of `key` is shared. */
export function plainKeyFile(
  key: Buffer,
  { repositoryId, createdAtSeconds }: { readonly repositoryId: string | null; readonly createdAtSeconds: number },
): PlainKeyFile {
  return { fingerprint: fingerprintOfKey(key), repositoryId, createdAtSeconds, key: { kind: 'plain', bytes: key } };
}

/** The same file, its key sealed by a passphrase. */
export async function sealKeyFile(file: PlainKeyFile, passphrase: Buffer, scryptCost?: number): Promise<KeyFile> {
  const scrypt = newScrypt(scryptCost);
  const salt = randomBytes(SALT_BYTES);
  const wrapping = await keyOfPassphrase(passphrase, scrypt);
  const sealed = sealKey(file.key.bytes, wrapping, salt, contextOf(file.fingerprint));
  wipe(wrapping);
  return { ...file, key: { kind: 'sealed', scrypt, salt, sealed } };
}

/** The key in a file, of a plain one the Buffer itself; asks for its passphrase where it has one. E_KEY_MISSING, E_KEY_WRONG. The caller's to wipe. */
export async function keyInFile(file: KeyFile, path: string, ask: AskPassphrase): Promise<Buffer> {
  if (file.key.kind === 'plain') return file.key.bytes;
  const { scrypt, salt, sealed } = file.key;
  const passphrase = await ask(`the key file ${path}`);
  if (passphrase === null) {
    throw new VzvaultError('E_KEY_MISSING', `the key file ${path} is sealed by a passphrase, which was not given`);
  }
  const wrapping = await keyOfPassphrase(passphrase, scrypt);
  wipe(passphrase);
  const key = openKey(sealed, wrapping, salt, contextOf(file.fingerprint));
  wipe(wrapping);
  if (key === null) throw new VzvaultError('E_KEY_WRONG', `the passphrase does not open the key file ${path}`);
  return key;
}

/** E_KEY_MISSING where there is none, E_PERMISSION where others can read it, E_KEY_WRONG where it is no key file. */
export async function readKeyFile(path: string): Promise<KeyFile> {
  const bytes = await readPrivate(path);
  try {
    return parseKeyFile(bytes, path);
  } finally {
    wipe(bytes);
  }
}

/** As readKeyFile, and null where there is none. */
export async function findKeyFile(path: string): Promise<KeyFile | null> {
  return await readKeyFile(path).catch((error: unknown) => {
    if (hasCode(error, 'E_KEY_MISSING')) return null;
    throw error;
  });
}

/**
 * Writes a key file, durable, for nobody else to read. E_TARGET_EXISTS where there is something and `replace` is not given; with it the old one
 * stays until the new one is whole.
 */
export async function writeKeyFile(path: string, file: KeyFile, { replace = false } = {}): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(keyFileToJson(file), null, 2)}\n`, 'utf8');
  const target = replace ? `${path}.${randomId()}` : path;
  try {
    const handle = await open(target, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (replace) await rename(target, path);
  } catch (cause) {
    if (replace) await rm(target, { force: true });
    if (errnoOf(cause) === 'EEXIST')
      throw new VzvaultError('E_TARGET_EXISTS', `the key file ${path} exists; nothing was changed`, { cause });
    throw new VzvaultError('E_PERMISSION', `writing the key file ${path}: ${toVzvaultError(cause).message}`, { cause });
  } finally {
    wipe(text);
  }
}

export function parseKeyFile(bytes: Buffer, path: string): KeyFile {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw notAKey(path, 'it is not JSON');
  }
  const parsed = schema.safeParse(value);
  // Not what zod says: it may quote the key.
  if (!parsed.success) throw notAKey(path, 'it is not what a vzvault key file has to be');
  const { fingerprint, repositoryId = null, createdAt, key, sealed } = parsed.data;
  const facts = { fingerprint, repositoryId, createdAtSeconds: parseIsoTime(createdAt) ?? 0 };
  if (key !== undefined && sealed === undefined) {
    const bytesOfKey = Buffer.from(key, 'base64');
    if (fingerprintOfKey(bytesOfKey) !== fingerprint) throw notAKey(path, 'its fingerprint is not that of its key');
    return { ...facts, key: { kind: 'plain', bytes: bytesOfKey } };
  }
  if (sealed === undefined || key !== undefined) throw notAKey(path, 'it has to have either a key or a sealed key');
  const salt = Buffer.from(sealed.salt, 'hex');
  return {
    ...facts,
    key: { kind: 'sealed', scrypt: scryptOf(sealed.scrypt), salt, sealed: Buffer.from(sealed.key, 'base64') },
  };
}

function keyFileToJson({ fingerprint, repositoryId, createdAtSeconds, key }: KeyFile): Record<string, unknown> {
  const facts = { vzvaultKey: 1, fingerprint, repositoryId, createdAt: formatIsoTime(createdAtSeconds) };
  if (key.kind === 'plain') return { ...facts, key: key.bytes.toString('base64') };
  const { scrypt, salt, sealed } = key;
  return {
    ...facts,
    sealed: { scrypt: scryptToJson(scrypt), salt: salt.toString('hex'), key: sealed.toString('base64') },
  };
}

async function readPrivate(path: string): Promise<Buffer> {
  try {
    // Not blocking: a pipe that nobody writes to must not hold us.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = await handle.stat();
      if (!status.isFile()) throw new VzvaultError('E_KEY_WRONG', `the key file ${path} is not a regular file`);
      if ((status.mode & 0o077) !== 0) {
        const mode = (status.mode & 0o777).toString(8).padStart(4, '0');
        throw new VzvaultError(
          'E_PERMISSION',
          `the key file ${path} can be read by others (mode ${mode}), so it is refused; chmod 600 it`,
        );
      }
      if (status.size > keyLimits.keyFileBytes) throw notAKey(path, 'it is too long');
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof VzvaultError) throw cause;
    const code = errnoOf(cause) === 'ENOENT' ? 'E_KEY_MISSING' : 'E_PERMISSION';
    const why = code === 'E_KEY_MISSING' ? 'there is no such file' : toVzvaultError(cause).message;
    throw new VzvaultError(code, `reading the key file ${path}: ${why}`, { cause });
  }
}

function contextOf(fingerprint: string): Buffer {
  return Buffer.from(`vzvault key file ${fingerprint}`, 'ascii');
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

function notAKey(path: string, why: string): VzvaultError {
  return new VzvaultError('E_KEY_WRONG', `reading the key file ${path}: ${why}`);
}
