/**
 * From a key file or a passphrase to the secret of a repository.
 *
 * A key file is tried as what it is: a key that a document in `keys/` knows, or the secret itself. Whatever goes wrong is one of two: there is no key
 * (E_KEY_MISSING), or it is not one of this repository (E_KEY_WRONG), each with one line that says which key was tried.
 */

import { VzvaultError } from '../../lib/errors.js';
import type { BlobStore } from '../blob-store.js';
import { openKeyDocument, type KeyDocument } from './key-document.js';
import { KeyDocuments } from './key-documents.js';
import { keyInFile, readKeyFile, type AskPassphrase } from './key-file.js';
import { fingerprintOfKey, fingerprintOfSecret, keyOfPassphrase, wipe } from './key-material.js';

export interface Unlocking {
  /** Of a key file. One that is not there is E_KEY_MISSING; where it is not given, a passphrase is asked for. */
  readonly keyFile?: string | undefined;
  /** Nobody is asked where it is not given. */
  readonly ask?: AskPassphrase | undefined;
  /** A repository that is not encrypted is refused: it may have been put in the place of one that was. */
  readonly mustBeEncrypted?: boolean | undefined;
}

export interface LockedRepository {
  readonly repositoryId: string;
  readonly keyFingerprint: string;
}

/** What opened a repository. */
export interface Unlocked {
  /** The caller's to wipe. */
  readonly secret: Buffer;
  /** Of the document in `keys/`; null where it was the secret itself. */
  readonly openedBy: string | null;
}

/** E_KEY_MISSING, E_KEY_WRONG, E_PERMISSION (the key file), E_CONFIG_INVALID (a damaged document), errors of the storage. */
export async function unlock(store: BlobStore, locked: LockedRepository, unlocking: Unlocking): Promise<Unlocked> {
  const { keyFile, ask = async () => null } = unlocking;
  const documents = new KeyDocuments(store, locked.repositoryId);
  if (keyFile !== undefined) return await unlockByFile(documents, store.path, locked, keyFile, ask);
  const listed = (await documents.list()).flatMap(({ document }) => (document === null ? [] : [document]));
  const byPassphrase = listed.filter(({ scrypt }) => scrypt !== null);
  const passphrase = byPassphrase.length === 0 ? null : await ask(`the repository ${store.path}`);
  if (passphrase === null) {
    throw new VzvaultError('E_KEY_MISSING', `the repository ${store.path} is encrypted, and no key was given`);
  }
  try {
    return await unlockByPassphrase(byPassphrase, store.path, locked, passphrase);
  } finally {
    wipe(passphrase);
  }
}

async function unlockByFile(
  documents: KeyDocuments,
  path: string,
  { repositoryId, keyFingerprint }: LockedRepository,
  keyFile: string,
  ask: AskPassphrase,
): Promise<Unlocked> {
  const file = await readKeyFile(keyFile);
  const key = await keyInFile(file, keyFile, ask);
  try {
    if (fingerprintOfSecret(key) === keyFingerprint) return { secret: Buffer.from(key), openedBy: null };
    const fingerprint = fingerprintOfKey(key);
    const document = await documents.read(fingerprint);
    const secret = document === null ? null : openKeyDocument(document, key, keyFingerprint);
    if (secret !== null) return { secret, openedBy: fingerprint };
    const { repositoryId: other } = file;
    const made = other === null || other === repositoryId ? '' : `; it was made for the repository ${other}`;
    throw new VzvaultError('E_KEY_WRONG', `the key ${fingerprint} in ${keyFile} does not open ${path}${made}`);
  } finally {
    wipe(key);
  }
}

async function unlockByPassphrase(
  documents: readonly KeyDocument[],
  path: string,
  { keyFingerprint }: LockedRepository,
  passphrase: Buffer,
): Promise<Unlocked> {
  for (const document of documents) {
    if (document.scrypt === null) continue;
    const key = await keyOfPassphrase(passphrase, document.scrypt);
    const secret = openKeyDocument(document, key, keyFingerprint);
    wipe(key);
    if (secret !== null) return { secret, openedBy: document.fingerprint };
  }
  throw new VzvaultError('E_KEY_WRONG', `the passphrase does not open the repository ${path}`);
}
