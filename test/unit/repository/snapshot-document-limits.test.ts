/** Every limit that docs/format.md sets to a snapshot's document: the last that is taken, and the first that is not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeSnapshotDocument, encodeSnapshotDocument } from '../../../src/repository/snapshot-document.js';
import type { SnapshotDocument } from '../../../src/repository/snapshot-document.js';
import { throwsWith } from '../../support/assertions.js';
import { ARCHIVE, documentOf, idOf, SECOND } from '../../support/documents.js';

const REPOSITORY = 'f'.repeat(32);
const id = idOf(101, SECOND, 'lxc');
const EMPTY_ROOT = '0'.repeat(64);
const LARGEST = Number.MAX_SAFE_INTEGER;

function roundTrip(changes: Partial<SnapshotDocument>): SnapshotDocument {
  return decodeSnapshotDocument(encodeSnapshotDocument(documentOf(id, changes), REPOSITORY), id, REPOSITORY);
}

function takes(changes: Partial<SnapshotDocument>): void {
  assert.deepEqual(roundTrip(changes), documentOf(id, changes));
}

function refuses(changes: Partial<SnapshotDocument>): void {
  throwsWith('E_SNAPSHOT_DAMAGED', () => roundTrip(changes));
}

const [volume] = documentOf(id).volumes;
assert.ok(volume);
const times = <T>(count: number, make: (name: string) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(`n${index}`));

describe('a document of a snapshot', () => {
  it('has at most 256 volumes, 16 archives and 64 files', () => {
    takes({ volumes: times(256, (name) => ({ ...volume, name })) });
    refuses({ volumes: times(257, (name) => ({ ...volume, name })) });
    takes({ archives: times(16, (name) => ({ ...ARCHIVE, name })) });
    refuses({ archives: times(17, (name) => ({ ...ARCHIVE, name })) });
    const bytes = Buffer.from('x');
    takes({ files: times(64, (name) => ({ name, bytes })) });
    refuses({ files: times(65, (name) => ({ name, bytes })) });
  });

  it('has names of 1 to 64 characters', () => {
    const bytes = Buffer.alloc(0);
    for (const name of ['a', '0', 'a'.repeat(64), 'A.b_c-9']) {
      takes({ files: [{ name, bytes }] });
      takes({ archives: [{ ...ARCHIVE, name }] });
    }
    for (const name of ['', 'a'.repeat(65), '.a', '../a', 'a/b', 'ä']) {
      refuses({ files: [{ name, bytes }] });
      refuses({ archives: [{ ...ARCHIVE, name }] });
    }
  });

  it('is of a version and a host of at most 256 characters', () => {
    const longest = 'h'.repeat(256);
    takes({ createdBy: { version: longest, hostname: longest } });
    refuses({ createdBy: { version: `${longest}h`, hostname: '' } });
    refuses({ createdBy: { version: '', hostname: `${longest}h` } });
  });

  it('has numbers below 2^53', () => {
    const { stats } = documentOf(id);
    takes({ stats: { ...stats, unchangedBytes: LARGEST, readBytes: LARGEST, addedBytes: LARGEST } });
    takes({ archives: [{ ...ARCHIVE, members: LARGEST, data: { ...ARCHIVE.data, sizeBytes: LARGEST } }] });
    for (const wrong of [-1, 0.5, LARGEST + 1]) {
      refuses({ stats: { ...stats, readBytes: wrong } });
      refuses({ archives: [{ ...ARCHIVE, members: wrong }] });
      refuses({ archives: [{ ...ARCHIVE, data: { ...ARCHIVE.data, sizeBytes: wrong } }] });
      refuses({ archives: [{ ...ARCHIVE, catalogue: { ...ARCHIVE.catalogue, sizeBytes: wrong } }] });
    }
  });
});

describe('a stream of an archive in a document', () => {
  for (const which of ['data', 'catalogue'] as const) {
    const withStream = (change: Partial<typeof ARCHIVE.data>): Partial<SnapshotDocument> => ({
      archives: [{ ...ARCHIVE, [which]: { ...ARCHIVE[which], ...change } }],
    });

    it(`has 1 to 8 levels (${which})`, () => {
      takes(withStream({ levels: 1 }));
      takes(withStream({ levels: 8 }));
      for (const levels of [0, 9, 1.5]) refuses(withStream({ levels }));
    });

    it(`is empty with one level and the root of zeroes, and only so (${which})`, () => {
      takes(withStream({ sizeBytes: 0, levels: 1, rootId: EMPTY_ROOT }));
      refuses(withStream({ sizeBytes: 0, levels: 2, rootId: EMPTY_ROOT }));
      refuses(withStream({ sizeBytes: 0, levels: 1 }));
      refuses(withStream({ rootId: EMPTY_ROOT }));
    });

    it(`has a root of 64 hex digits in lower case (${which})`, () => {
      for (const rootId of ['a'.repeat(63), 'a'.repeat(65), 'A'.repeat(64), 'g'.repeat(64)])
        refuses(withStream({ rootId }));
    });
  }
});

describe('a volume in a document', () => {
  it('has fewer than 2^40 chunks, since its size is below 2^53', () => {
    const chunkSizeBytes = 262_144;
    assert.ok(LARGEST / chunkSizeBytes < 2 ** 40);
    takes({ volumes: [{ ...volume, sizeBytes: LARGEST, chunkSizeBytes, levels: 5 }] });
    for (const levels of [4, 6]) refuses({ volumes: [{ ...volume, sizeBytes: LARGEST, chunkSizeBytes, levels }] });
    refuses({ volumes: [{ ...volume, sizeBytes: LARGEST + 1, chunkSizeBytes, levels: 5 }] });
  });

  it('is empty with one level and the root of zeroes', () => {
    takes({ volumes: [{ ...volume, sizeBytes: 0, rootId: EMPTY_ROOT }] });
    refuses({ volumes: [{ ...volume, sizeBytes: 0 }] });
    refuses({ volumes: [{ ...volume, sizeBytes: 0, rootId: EMPTY_ROOT, levels: 2 }] });
  });
});
