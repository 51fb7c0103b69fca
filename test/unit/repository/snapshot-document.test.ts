import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  decodeSnapshotDocument,
  encodeSnapshotDocument,
  logicalBytes,
  mapLevels,
} from '../../../src/repository/snapshot-document.js';
import { throwsWith } from '../../support/assertions.js';
import { ARCHIVE, documentOf, idOf, SECOND } from '../../support/documents.js';

const REPOSITORY = 'f'.repeat(32);
const id = idOf(100);
const plain = encodeSnapshotDocument(documentOf(id), REPOSITORY);

type Json = Record<string, unknown>;

function changed(change: (fields: Json) => void): Buffer {
  const fields = JSON.parse(plain.toString()) as Json;
  change(fields);
  return Buffer.from(JSON.stringify(fields));
}

function volumeChanged(change: Json): Buffer {
  return changed((fields) => Object.assign((fields['volumes'] as Json[])[0] ?? {}, change));
}

describe('the document of a snapshot', () => {
  it('reads back what it writes, files byte for byte', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
    const document = documentOf(id, {
      files: [
        { name: 'guest.conf', bytes },
        { name: 'firewall.conf', bytes: Buffer.alloc(0) },
      ],
    });
    assert.deepEqual(decodeSnapshotDocument(encodeSnapshotDocument(document, REPOSITORY), id, REPOSITORY), document);
  });

  it('has the fields of the format page', () => {
    const fields = JSON.parse(plain.toString()) as Json;
    assert.deepEqual(Object.keys(fields), [
      'format',
      'repositoryId',
      'group',
      'time',
      'finishedAt',
      'createdBy',
      'volumes',
      'files',
      'stats',
    ]);
    assert.equal(fields['group'], 'qemu/100');
    assert.equal(fields['time'], '2026-11-22T04:17:14Z');
    assert.deepEqual((fields['volumes'] as Json[])[0], {
      name: 'drive-scsi0',
      sizeBytes: 1000,
      chunkSizeBytes: 524288,
      levels: 1,
      root: 'a'.repeat(64),
    });
  });

  it('is refused where it lies in the directory of another guest or time, or in another repository', () => {
    throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(plain, idOf(101), REPOSITORY));
    throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(plain, idOf(100, SECOND + 1), REPOSITORY));
    throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(plain, idOf(100, SECOND, 'lxc'), REPOSITORY));
    throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(plain, id, 'e'.repeat(32)));
  });

  it('may say nothing of unchanged bytes, as it did before anything could be left unread', () => {
    const statsOf = (document: Buffer): unknown => decodeSnapshotDocument(document, id, REPOSITORY).stats;
    const { stats } = documentOf(id);
    const less = changed((fields) => Reflect.deleteProperty(fields['stats'] as Json, 'unchangedBytes'));
    assert.deepEqual(statsOf(less), { ...stats, unchangedBytes: 0 });
    const more = { ...stats, unchangedBytes: 4194304 };
    assert.deepEqual(statsOf(encodeSnapshotDocument(documentOf(id, { stats: more }), REPOSITORY)), more);
    for (const unchangedBytes of [-1, 1.5, '1', null]) {
      const wrong = changed((fields) => Object.assign(fields['stats'] as Json, { unchangedBytes }));
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(wrong, id, REPOSITORY));
    }
  });

  it('ignores fields that it does not know', () => {
    const more = changed((fields) => (fields['later'] = 1));
    assert.deepEqual(decodeSnapshotDocument(more, id, REPOSITORY), documentOf(id));
  });

  it('is refused where a field is missing', () => {
    for (const field of Object.keys(JSON.parse(plain.toString()) as Json)) {
      const less = changed((fields) => Reflect.deleteProperty(fields, field));
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(less, id, REPOSITORY));
    }
  });

  it('is refused where a volume has a geometry that cannot be', () => {
    const impossible: Json[] = [
      { sizeBytes: -1 },
      { sizeBytes: 1.5 },
      { sizeBytes: 2 ** 53 },
      { chunkSizeBytes: 4096 },
      { levels: 2 },
      { levels: 0 },
      { root: 'A'.repeat(64) },
      { root: 'a'.repeat(63) },
    ];
    for (const change of impossible)
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(volumeChanged(change), id, REPOSITORY));
  });

  it('is refused where a name could leave a directory', () => {
    for (const name of ['', '.', '..', '../x', 'a/b', '.hidden', '-x', 'a b', 'a\n', 'ä', 'x'.repeat(65), 'a\0']) {
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(volumeChanged({ name }), id, REPOSITORY));
      const file = changed((fields) => (fields['files'] = [{ name, base64: '' }]));
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(file, id, REPOSITORY));
    }
  });

  it('is refused where two volumes have one name', () => {
    throwsWith('E_SNAPSHOT_DAMAGED', () =>
      decodeSnapshotDocument(volumeChanged({ name: 'drive-efidisk0' }), id, REPOSITORY),
    );
  });

  it('is refused where it is not JSON, not UTF-8 or not an object', () => {
    for (const bytes of ['', '[]', 'null', '{', '\xff']) {
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(Buffer.from(bytes, 'latin1'), id, REPOSITORY));
    }
  });

  it('is refused where base64 is not the one spelling of its bytes', () => {
    for (const base64 of ['A', 'QQ', 'Q Q=', 'QR==', 'QQ==\n']) {
      const file = changed((fields) => (fields['files'] = [{ name: 'guest.conf', base64 }]));
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(file, id, REPOSITORY));
    }
  });

  it('is never written longer than it may be read', () => {
    const bytes = Buffer.alloc(13 * 1024 * 1024);
    const document = documentOf(id, { files: [{ name: 'guest.conf', bytes }] });
    throwsWith('E_ARGUMENT_INVALID', () => encodeSnapshotDocument(document, REPOSITORY));
  });
});

describe('the number of levels of a map', () => {
  it('is the least that holds all chunks', () => {
    const chunk = 524288;
    const cases: [number, number][] = [
      [0, 1],
      [1, 1],
      [256, 1],
      [257, 2],
      [65536, 2],
      [65537, 3],
      [2 ** 24, 3],
      [2 ** 24 + 1, 4],
    ];
    for (const [chunks, levels] of cases) assert.equal(mapLevels(chunks * chunk, chunk), levels, `${chunks} chunks`);
    assert.equal(mapLevels(256 * chunk + 1, chunk), 2);
  });
});

describe('the archives of a document', () => {
  const container = idOf(101, SECOND, 'lxc');
  const empty = { sizeBytes: 0, levels: 1, rootId: '0'.repeat(64) };
  const document = documentOf(container, { volumes: [], archives: [ARCHIVE] });

  it('are read back as they were written', () => {
    for (const archive of [ARCHIVE, { ...ARCHIVE, data: empty }]) {
      const written = encodeSnapshotDocument({ ...document, archives: [archive] }, REPOSITORY);
      assert.deepEqual(decodeSnapshotDocument(written, container, REPOSITORY).archives, [archive]);
    }
    const { archives } = JSON.parse(encodeSnapshotDocument(document, REPOSITORY).toString()) as { archives: Json[] };
    assert.deepEqual(archives[0], {
      ...{ name: 'root', members: 12_000 },
      data: { sizeBytes: 700_000_000, levels: 2, root: 'd'.repeat(64) },
      catalogue: { sizeBytes: 1_000_000, levels: 1, root: 'c'.repeat(64) },
    });
  });

  it('are none where the field is absent, which it is where there are none', () => {
    assert.deepEqual(decodeSnapshotDocument(plain, id, REPOSITORY).archives, []);
    assert.ok(!('archives' in (JSON.parse(plain.toString()) as Json)));
  });

  it('are refused where a stream contradicts itself', () => {
    for (const data of [
      { ...ARCHIVE.data, levels: 0 },
      { ...ARCHIVE.data, levels: 9 },
      { ...ARCHIVE.data, sizeBytes: 0 },
      { ...ARCHIVE.data, rootId: empty.rootId },
      { ...empty, levels: 2 },
      { ...ARCHIVE.data, rootId: 'D'.repeat(64) },
    ]) {
      const written = encodeSnapshotDocument({ ...document, archives: [{ ...ARCHIVE, data }] }, REPOSITORY);
      throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(written, container, REPOSITORY));
    }
    const twice = encodeSnapshotDocument({ ...document, archives: [ARCHIVE, ARCHIVE] }, REPOSITORY);
    throwsWith('E_SNAPSHOT_DAMAGED', () => decodeSnapshotDocument(twice, container, REPOSITORY));
  });

  it('make the size of the guest with its volumes', () => {
    assert.equal(logicalBytes(document), 700_000_000);
    assert.equal(logicalBytes({ ...documentOf(id), archives: [ARCHIVE] }), 700_541_672);
  });
});
