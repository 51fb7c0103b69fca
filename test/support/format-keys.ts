/** From a key, a passphrase or the secret to what opens a repository (docs/format.md, "Keys"), read from that page alone. */
import { createHash, scryptSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './format-error.js';
import { parseKeyHeader, type Config, type KeyHeader } from './format-json.js';
import { decrypt, encryptedBy, fingerprintOf, hkdf, noNonce, PLAIN, type Suite } from './format-suite.js';

const KEY_DOCUMENT_LIMIT = 4096;
const SEALED_BYTES = 48;

/** What somebody has who wants to read an encrypted repository. Buffers have 32 bytes. */
export type Opener =
  | { readonly kind: 'secret'; readonly secret: Buffer }
  | { readonly kind: 'key'; readonly key: Buffer }
  | { readonly kind: 'passphrase'; readonly passphrase: string };

interface KeyDocument {
  readonly header: KeyHeader;
  /** The first line. */
  readonly line: string;
  readonly sealed: Buffer;
}

/** The suite of the repository in this directory; FormatError where it is encrypted and this does not open it. */
export function openSuite(directory: string, config: Config, opener: Opener | null): Suite {
  if (config.keyFingerprint === null) return PLAIN;
  must(opener !== null, 'the repository is encrypted, and there is no key');
  const secret = secretBy(join(directory, 'keys'), config.repositoryId, opener);
  must(
    fingerprintOf(secret, 'vzvault fingerprint') === config.keyFingerprint,
    'the secret is not that of the repository',
  );
  return encryptedBy(secret);
}

function secretBy(directory: string, repositoryId: string, opener: Opener): Buffer {
  if (opener.kind === 'secret') return opener.secret;
  if (opener.kind === 'key') {
    const name = fingerprintOf(opener.key, 'vzvault key');
    must(existsSync(join(directory, name)), 'no document is named by the key');
    return unwrap(readKeyDocument(readFileSync(join(directory, name)), name, repositoryId), opener.key);
  }
  for (const name of readdirSync(directory)) {
    const document = readKeyDocument(readFileSync(join(directory, name)), name, repositoryId);
    if (document.header.scrypt === null) continue;
    const { N, r, p, salt } = document.header.scrypt;
    const key = scryptSync(opener.passphrase, salt, 32, { N, r, p, maxmem: 256 * N * r });
    if (fingerprintOf(key, 'vzvault key') === name) return unwrap(document, key);
  }
  must(false, 'no document is opened by the passphrase');
}

export function readKeyDocument(bytes: Buffer, name: string, repositoryId: string): KeyDocument {
  must(bytes.length <= KEY_DOCUMENT_LIMIT, 'a key document is longer than its limit');
  const [line = '', base64 = '', checksum = '', rest, ...more] = bytes.toString('utf8').split('\n');
  must(rest === '' && more.length === 0, 'a key document does not have three lines, each ended by LF');
  const digest = createHash('sha256').update(`${line}\n${base64}\n`).digest('hex');
  must(checksum === `sha256:${digest}`, 'a key document has another digest than its third line says');
  const header = parseKeyHeader(line);
  must(header.repositoryId === repositoryId, 'a key document is of another repository');
  must(header.fingerprint === name, 'a key document is named by another key');
  const sealed = Buffer.from(base64, 'base64');
  must(sealed.length === SEALED_BYTES && sealed.toString('base64') === base64, 'a key document holds no sealed secret');
  return { header, line, sealed };
}

export function unwrap({ header, line, sealed }: KeyDocument, key: Buffer): Buffer {
  return decrypt(hkdf(key, 'vzvault wrap', header.salt), noNonce, Buffer.from(line), sealed);
}
