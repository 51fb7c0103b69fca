/** The one engine of this process: types.ts says what it does. */
import { callNative } from './addon.js';
import { requireInteger } from './arguments.js';
import { openDirectory } from './directory.js';
import { keyHandle, loadKey } from './keys.js';
import { listen } from './socket-server.js';
import { sparse } from './sparse.js';
import { openStore } from './store.js';
import type { DocumentKind, Engine } from './types.js';

export type * from './types.js';

/** docs/format.md, Document: the byte at 12. */
const documentKinds: Readonly<Record<DocumentKind, number>> = {
  snapshot: 1,
  notes: 2,
  log: 3,
  'verify-state': 4,
  session: 5,
  condemned: 6,
  claim: 7,
  verdict: 8,
  tombstone: 9,
  collected: 10,
};

export const engine: Engine = {
  openDirectory,
  openStore,
  loadKey,
  sealDocument: (kind, plain, encryption) => {
    const key = keyHandle(encryption?.key);
    return callNative((native) => native.sealDocument(documentKinds[kind], encryption?.name ?? '', plain, key));
  },
  openDocument: (kind, sealed, encryption) => {
    const key = keyHandle(encryption?.key);
    return callNative((native) => native.openDocument(documentKinds[kind], encryption?.name ?? '', sealed, key));
  },
  listen,
  closeFd: (fd) => {
    callNative((native) => {
      native.closeFd(requireInteger('descriptor', fd, 0, 0x7fff_ffff));
    });
  },
  sparse,
};
