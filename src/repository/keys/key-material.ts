/**
 * What keys are made of, and the sealing of one key by another (docs/format.md, "Encryption" and "Keys").
 *
 * Keys travel in Buffers, whose owner overwrites them with `wipe` once they are not needed: what a function here returns belongs to the caller,
 * what it is given stays the caller's.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scrypt,
  type ScryptOptions,
} from 'node:crypto';
import { VzvaultError } from '../../lib/errors.js';
import { keyLimits } from '../../lib/limits.js';

/** A repository's secret, and every key that opens it. */
export const KEY_BYTES = 32;
export const SALT_BYTES = 32;
const TAG_BYTES = 16;
export const SEALED_KEY_BYTES = KEY_BYTES + TAG_BYTES;
const CIPHER = 'aes-256-gcm';
/** A wrapping key seals one thing only, since its salt is random and used once. */
const NONCE = Buffer.alloc(12);

/** scrypt's N; r is 8 and p is 1 always. */
export interface ScryptParameters {
  readonly cost: number;
  readonly salt: Buffer;
}

export function randomKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

export function wipe(...buffers: (Buffer | null | undefined)[]): void {
  for (const buffer of buffers) buffer?.fill(0);
}

/** What the config calls `keyFingerprint`. Public. */
export function fingerprintOfSecret(secret: Buffer): string {
  return digestOf(secret, 'vzvault fingerprint');
}

/** What names the document of a key in `keys/`. Public. */
export function fingerprintOfKey(key: Buffer): string {
  return digestOf(key, 'vzvault key');
}

/** The key that a passphrase stands for: seconds of work and 128 MiB of memory, on purpose. The passphrase stays the caller's. */
export async function keyOfPassphrase(passphrase: Buffer, { cost, salt }: ScryptParameters): Promise<Buffer> {
  const options: ScryptOptions = { N: cost, r: 8, p: 1, maxmem: 2 * 128 * 8 * cost };
  return await new Promise((resolve, reject) => {
    scrypt(passphrase, salt, KEY_BYTES, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** New parameters for a new passphrase. */
export function newScrypt(cost: number = keyLimits.scryptCost): ScryptParameters {
  return { cost, salt: randomBytes(SALT_BYTES) };
}

/** Seals 32 bytes by a key: ciphertext and tag, bound to `context`. `salt` is SALT_BYTES random bytes that were never used before. */
export function sealKey(plain: Buffer, by: Buffer, salt: Buffer, context: Buffer): Buffer {
  const wrapping = wrappingKey(by, salt);
  try {
    const cipher = createCipheriv(CIPHER, wrapping, NONCE);
    cipher.setAAD(context);
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  } finally {
    wipe(wrapping);
  }
}

/** The opposite; null where key, salt, context or the sealed bytes are not those of the sealing. */
export function openKey(sealed: Buffer, by: Buffer, salt: Buffer, context: Buffer): Buffer | null {
  const wrapping = wrappingKey(by, salt);
  const decipher = createDecipheriv(CIPHER, wrapping, NONCE);
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
    return plain;
  } catch {
    wipe(plain);
    return null;
  } finally {
    wipe(wrapping);
  }
}

/** E_ARGUMENT_INVALID for one that is too short or too long to be meant. */
export function requirePassphrase(passphrase: Buffer): void {
  const { passphraseMinBytes, passphraseMaxBytes } = keyLimits;
  if (passphrase.length >= passphraseMinBytes && passphrase.length <= passphraseMaxBytes) return;
  throw new VzvaultError(
    'E_ARGUMENT_INVALID',
    `a passphrase has ${passphraseMinBytes} to ${passphraseMaxBytes} bytes, this one ${passphrase.length}`,
  );
}

function wrappingKey(key: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, 'vzvault wrap', KEY_BYTES));
}

function digestOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text, 'ascii').digest('hex').slice(0, 32);
}
