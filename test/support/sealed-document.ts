/** Sealing and opening documents in plain TypeScript, from docs/format.md, with codec 0 only: a second opinion on the engine. */
import { createHash, randomBytes } from 'node:crypto';
import type { DocumentKind } from '../../src/engine/types.js';
import { VzvaultError } from '../../src/lib/errors.js';

const KINDS: readonly DocumentKind[] = ['snapshot', 'notes', 'log', 'verify-state'];
const MAGIC = Buffer.from('VZVSEAL\n', 'latin1');
const HEADER_BYTES = 56;
const DIGEST_BYTES = 32;

export function sealDocument(kind: DocumentKind, plain: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt16LE(1, 8);
  header.writeUInt8(KINDS.indexOf(kind) + 1, 12);
  header.writeUInt32LE(plain.length, 16);
  header.writeUInt32LE(plain.length, 20);
  randomBytes(32).copy(header, 24);
  const body = Buffer.concat([header, plain]);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

export function openDocument(kind: DocumentKind, sealed: Buffer): Buffer {
  const refuse = (why: string): never => {
    throw new VzvaultError('E_SNAPSHOT_DAMAGED', why);
  };
  if (sealed.length < HEADER_BYTES + DIGEST_BYTES) return refuse('it is too short');
  const body = sealed.subarray(0, sealed.length - DIGEST_BYTES);
  const digest = createHash('sha256').update(body).digest();
  if (!digest.equals(sealed.subarray(body.length))) return refuse('its digest does not match');
  if (!sealed.subarray(0, 8).equals(MAGIC)) return refuse('it has no magic');
  if (sealed.readUInt16LE(8) !== 1 || sealed.readUInt16LE(10) !== 0)
    return refuse('it has an unknown version or suite');
  if (sealed.readUInt8(12) !== KINDS.indexOf(kind) + 1) return refuse(`it is no ${kind}`);
  if (sealed.readUInt8(13) !== 0 || sealed.readUInt16LE(14) !== 0) return refuse('it has an unknown codec');
  const plainLength = sealed.readUInt32LE(16);
  if (plainLength !== sealed.readUInt32LE(20) || plainLength !== body.length - HEADER_BYTES)
    return refuse('its lengths differ');
  return Buffer.from(body.subarray(HEADER_BYTES));
}
