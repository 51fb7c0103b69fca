/**
 * Keys of encrypted repositories. The secret crosses the border once, to be loaded; what JavaScript holds then is a handle and a
 * fingerprint. The native side wipes what it derived when the last user (a store, a job, this object) has let go.
 */
import { VzvaultError } from '../lib/errors.js';
import { callNative, type KeyHandle } from './addon.js';
import type { RepositoryKey } from './types.js';

const handles = new WeakMap<RepositoryKey, KeyHandle>();

/** E_ARGUMENT_INVALID unless the secret has 32 bytes. The caller overwrites its Buffer afterwards. */
export function loadKey(secret: Buffer): RepositoryKey {
  const handle = callNative((native) => native.keyLoad(secret));
  const fingerprint = callNative((native) => native.keyFingerprint(handle));
  const key: RepositoryKey = Object.freeze({ fingerprint });
  handles.set(key, handle);
  return key;
}

export function keyHandle(key: RepositoryKey | null | undefined): KeyHandle | null {
  if (key === null || key === undefined) return null;
  const handle = handles.get(key);
  if (handle) return handle;
  throw new VzvaultError('E_INTERNAL', `the key ${key.fingerprint} was not loaded by this engine`);
}
