/** Sealing and opening documents in plain TypeScript, from docs/format.md, with codec 0 only: a second opinion on the engine. */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { DocumentEncryption, DocumentKind, RepositoryKey } from '../../src/engine/types.js';
import { VzvaultError } from '../../src/lib/errors.js';

const KINDS: readonly DocumentKind[] = [
  'snapshot',
  'notes',
  'log',
  'verify-state',
  'session',
  'condemned',
  'claim',
  'verdict',
  'tombstone',
  'collected',
];
const MAGIC = Buffer.from('VZVSEAL\n', 'latin1');
const HEADER_BYTES = 56;
const DIGEST_BYTES = 32;
const TAG_BYTES = 16;
/** Documents of these kinds are encrypted where the repository is. */
const ENCRYPTED = new Set<DocumentKind>(['snapshot', 'notes', 'log', 'verify-state']);

const documentKeys = new WeakMap<RepositoryKey, Buffer>();

/** The engine's `loadKey`, as far as documents need it. */
export function loadKey(secret: Buffer): RepositoryKey {
  if (secret.length !== 32) throw new VzvaultError('E_ARGUMENT_INVALID', 'a secret has 32 bytes');
  const fingerprint = createHmac('sha256', secret).update('vzvault fingerprint').digest('hex').slice(0, 32);
  const key: RepositoryKey = Object.freeze({ fingerprint });
  documentKeys.set(key, derive(secret, Buffer.alloc(0), 'vzvault document'));
  return key;
}

function derive(key: Buffer, salt: Buffer, info: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, 32));
}

/** The key of one document, and what it is bound to. */
function sealingOf({ key, name }: DocumentEncryption, header: Buffer): { key: Buffer; context: Buffer } {
  const documentKey = documentKeys.get(key);
  if (documentKey === undefined) throw new VzvaultError('E_INTERNAL', 'the key was not loaded here');
  const context = Buffer.concat([header, Buffer.from(name, 'utf8')]);
  return { key: derive(documentKey, header.subarray(24, 56), 'vzvault document'), context };
}

export function sealDocument(kind: DocumentKind, plain: Buffer, encryption: DocumentEncryption | null = null): Buffer {
  const isEncrypted = encryption !== null && ENCRYPTED.has(kind);
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt16LE(1, 8);
  header.writeUInt8(KINDS.indexOf(kind) + 1, 12);
  header.writeUInt32LE(plain.length, 16);
  header.writeUInt16LE(isEncrypted ? 1 : 0, 10);
  header.writeUInt32LE(plain.length + (isEncrypted ? TAG_BYTES : 0), 20);
  randomBytes(32).copy(header, 24);
  const body = Buffer.concat([header, isEncrypted ? encrypt(plain, sealingOf(encryption, header)) : plain]);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

function encrypt(plain: Buffer, { key, context }: { key: Buffer; context: Buffer }): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
  cipher.setAAD(context);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Null where anything is not as it was sealed. */
function decrypt(stored: Buffer, { key, context }: { key: Buffer; context: Buffer }): Buffer | null {
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.alloc(12));
  decipher.setAAD(context);
  decipher.setAuthTag(stored.subarray(-TAG_BYTES));
  const plain = decipher.update(stored.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
    return plain;
  } catch {
    return null;
  }
}

export function openDocument(kind: DocumentKind, sealed: Buffer, encryption: DocumentEncryption | null = null): Buffer {
  const refuse = (why: string): never => {
    throw new VzvaultError('E_SNAPSHOT_DAMAGED', why);
  };
  if (sealed.length < HEADER_BYTES + DIGEST_BYTES) return refuse('it is too short');
  const body = sealed.subarray(0, sealed.length - DIGEST_BYTES);
  const digest = createHash('sha256').update(body).digest();
  if (!digest.equals(sealed.subarray(body.length))) return refuse('its digest does not match');
  if (!sealed.subarray(0, 8).equals(MAGIC)) return refuse('it has no magic');
  const suite = sealed.readUInt16LE(10);
  if (sealed.readUInt16LE(8) !== 1 || suite > 1) return refuse('it has an unknown version or suite');
  if (sealed.readUInt8(12) !== KINDS.indexOf(kind) + 1) return refuse(`it is no ${kind}`);
  if (sealed.readUInt8(13) !== 0 || sealed.readUInt16LE(14) !== 0) return refuse('it has an unknown codec');
  const storedLength = sealed.readUInt32LE(16) + (suite === 1 ? TAG_BYTES : 0);
  if (storedLength !== sealed.readUInt32LE(20) || storedLength !== body.length - HEADER_BYTES)
    return refuse('its lengths differ');
  const stored = body.subarray(HEADER_BYTES);
  if (suite === 0) {
    if (encryption === null || !ENCRYPTED.has(kind)) return Buffer.from(stored);
    throw new VzvaultError('E_SUITE_MISMATCH', 'it is not encrypted');
  }
  if (encryption === null) throw new VzvaultError('E_KEY_MISSING', 'it is encrypted');
  return decrypt(stored, sealingOf(encryption, body.subarray(0, HEADER_BYTES))) ?? refuse('it does not decrypt');
}
