/**
 * The suites of docs/format.md ("Encryption"), read from that page alone and made of node:crypto: ids of chunks, sealing, and where data is cut.
 * Shares no code with src/ or native/.
 */
import { createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import { must } from './format-error.js';

export const TAG_BYTES = 16;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const SALT_AT = { pack: 16, document: 24 };

/** What of a pack's table a chunk is bound to. */
export interface ChunkFields {
  readonly id: string;
  readonly type: number;
  readonly codec: number;
  readonly plainLength: number;
}

export interface Suite {
  /** As headers have it. */
  readonly number: 0 | 1;
  /** How much longer than what the codec made it the stored bytes are. */
  readonly tagBytes: number;
  chunkId(plain: Buffer): string;
  /** What the codec made of a chunk, from its stored bytes; `header` is that of its pack. FormatError where it was sealed otherwise. */
  openChunk(header: Buffer, ordinal: number, chunk: ChunkFields, stored: Buffer): Buffer;
  /** The same of a document; `name` is the path of its file in the repository. */
  openDocument(header: Buffer, name: string, stored: Buffer): Buffer;
  readonly gear: readonly bigint[];
  /** Where it begins with a zero byte, a piece of a catalogue may end behind the record of this path. */
  pathDigest(path: Buffer): Buffer;
}

type Digest = (...parts: (string | Uint8Array)[]) => Buffer;

function hashWith(begin: () => { update(part: string | Uint8Array): unknown; digest(): Buffer }): Digest {
  return (...parts) => {
    const hash = begin();
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
}

const plainDigest = hashWith(() => createHash('sha256'));
const keyed = (key: Buffer): Digest => hashWith(() => createHmac('sha256', key));

function gearOf(digest: Digest): bigint[] {
  return Array.from({ length: 256 }, (_, byte) => digest('vzvault gear', Uint8Array.of(byte)).readBigUInt64LE(0));
}

/** Suite 0: nothing is encrypted. */
export const PLAIN: Suite = {
  number: 0,
  tagBytes: 0,
  chunkId: (plain) => plainDigest(plain).toString('hex'),
  openChunk: (_header, _ordinal, _chunk, stored) => stored,
  openDocument: (_header, _name, stored) => stored,
  gear: gearOf(plainDigest),
  pathDigest: (path) => plainDigest(path),
};

export function hkdf(key: Buffer, info: string, salt: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, KEY_BYTES));
}

/** The first 32 hex digits of HMAC(key, text). */
export function fingerprintOf(key: Buffer, text: 'vzvault fingerprint' | 'vzvault key'): string {
  return keyed(key)(text).toString('hex').slice(0, 32);
}

/** What ciphertext and tag hold; FormatError where anything of it is otherwise than it was sealed. */
export function decrypt(key: Buffer, nonce: Buffer, associated: Buffer, sealed: Buffer): Buffer {
  must(sealed.length >= TAG_BYTES, 'something encrypted is shorter than its tag');
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, -TAG_BYTES));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    must(false, 'something does not decrypt');
  }
}

export const noNonce = Buffer.alloc(NONCE_BYTES);

/** Suite 1, of the repository with this secret. */
export function encryptedBy(secret: Buffer): Suite {
  const [dataKey, idKey, cutKey, documentKey] = ['data', 'id', 'cut', 'document'].map((use) =>
    hkdf(secret, `vzvault ${use}`),
  ) as [Buffer, Buffer, Buffer, Buffer];
  const [id, cut] = [keyed(idKey), keyed(cutKey)];
  return {
    number: 1,
    tagBytes: TAG_BYTES,
    chunkId: (plain) => id(plain).toString('hex'),
    openChunk: (header, ordinal, chunk, stored) => {
      const key = hkdf(dataKey, 'vzvault pack', header.subarray(SALT_AT.pack, SALT_AT.pack + KEY_BYTES));
      const nonce = Buffer.alloc(NONCE_BYTES);
      nonce.writeUInt32LE(ordinal);
      return decrypt(key, nonce, chunkContext(header, ordinal, chunk), stored);
    },
    openDocument: (header, name, stored) => {
      const key = hkdf(documentKey, 'vzvault document', header.subarray(SALT_AT.document));
      return decrypt(key, noNonce, Buffer.concat([header, Buffer.from(name)]), stored);
    },
    gear: gearOf(cut),
    pathDigest: (path) => cut(path),
  };
}

function chunkContext(header: Buffer, ordinal: number, { id, type, codec, plainLength }: ChunkFields): Buffer {
  const context = Buffer.alloc(92);
  header.copy(context);
  context.writeUInt32LE(ordinal, 48);
  context.write(id, 52, 'hex');
  context.writeUInt8(type, 84);
  context.writeUInt8(codec, 85);
  context.writeUInt32LE(plainLength, 88);
  return context;
}
