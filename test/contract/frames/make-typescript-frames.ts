/**
 * Writes the golden frames of the TypeScript encoder, typescript-*.bin, and beside each the message that it holds as JSON. Run it
 * after a change of the protocol:  node build/js/test/contract/frames/make-typescript-frames.js
 * The output is the same at every run. The Perl encoder's are made by make-perl-frames.pl.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VzvaultError } from '../../../src/lib/errors.js';
import { encodeMessage, type PlainMap } from '../../../src/rpc/codec.js';
import { errorFields } from '../../../src/rpc/message.js';
import { projectRoot } from '../../support/project.js';

const entry = {
  volume: 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv',
  guestType: 'qemu',
  vmid: 100,
  timeSeconds: 1_795_321_034,
  sizeBytes: 4_398_046_511_104,
  addedBytes: 0,
  notes: 'Zürich – café\n日本語 🙂\ttab',
  protected: true,
  verifyState: 'none',
};

export const typescriptMessages: Readonly<Record<string, PlainMap>> = {
  hello: { id: 1, result: { protocol: 1, daemon: '0.1.0' } },
  'storage-status': {
    id: 2,
    result: { totalBytes: Number.MAX_SAFE_INTEGER, availableBytes: 4_294_967_296, usedBytes: 2_147_483_648 },
  },
  'storage-list': { id: 2, result: { backups: [entry, { ...entry, notes: '', protected: false }], more: false } },
  'storage-list-empty': { id: 2, result: { backups: [], more: false } },
  'read-config': {
    id: 2,
    result: { contentBase64: Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('base64') },
  },
  'read-config-none': { id: 2, result: { contentBase64: null } },
  'query-incremental': { id: 3, result: { modes: { 'drive-efidisk0': 'new', 'drive-scsi0': 'use' } } },
  mechanism: { id: 2, result: { mechanism: 'file-handle' } },
  'keep-log': { id: 2, result: { kept: true } },
  'next-dirty-regions': { id: 1, method: 'backup.nextDirtyRegions', params: { device: 'drive-scsi0' } },
  'restore-begin': {
    id: 2,
    result: { restoreId: 'a'.repeat(32), disks: { 'drive-scsi0': { sizeBytes: 540_672 } }, archives: [] },
  },
  'restore-begin-container': {
    id: 2,
    result: { restoreId: 'b'.repeat(32), disks: {}, archives: [{ name: 'root', sizeBytes: 4_398_046_511_104 }] },
  },
  'open-archive': { id: 3, result: { path: `/run/vzvault/mounts/${'b'.repeat(32)}/root.tar` } },
  'archive-end': { id: 1, method: 'backup.archiveEnd', params: {} },
  empty: { id: 9, result: {} },
  log: { method: 'log', params: { level: 'warn', message: 'drive-scsi0: 42 % – één', request: 4 } },
  'log-long': { method: 'log', params: { level: 'info', message: 'x'.repeat(300), request: 65_536 } },
  request: {
    id: 1,
    method: 'source.nextRegion',
    params: { device: 'drive-scsi0', offsets: [-1, 0, 127, 128, 65_535, 65_536] },
  },
  error: {
    id: 2,
    error: errorFields(new VzvaultError('E_NO_SPACE', 'writing pack packs/ab/x: No space left on device')),
  },
  'last-error': {
    id: 0,
    error: errorFields(new VzvaultError('E_PEER_DENIED', 'the peer has uid 1000; only root may connect')),
  },
};

export const framesDirectory = join(projectRoot, 'test/contract/frames');

if (process.argv[1] === import.meta.filename) {
  for (const [name, message] of Object.entries(typescriptMessages)) {
    writeFileSync(join(framesDirectory, `typescript-${name}.bin`), encodeMessage(message));
    writeFileSync(join(framesDirectory, `typescript-${name}.json`), `${JSON.stringify(message, null, 3)}\n`);
  }
}
