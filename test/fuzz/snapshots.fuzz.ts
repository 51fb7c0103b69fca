/**
 * Random and mutated bytes into the readers of config, snapshot documents and references: each either reads what was meant or refuses
 * with its own code.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { VzvaultError, type ErrorCode } from '../../src/lib/errors.js';
import { decodeConfig, encodeConfig, newConfig } from '../../src/repository/config.js';
import { parseStorageConfig } from '../../src/repository/locate.js';
import {
  decodeSnapshotDocument,
  encodeSnapshotDocument,
  type SnapshotDocument,
} from '../../src/repository/snapshot-document.js';
import { parseSnapshotReference } from '../../src/repository/snapshot-reference.js';
import { decodeVerifyState, encodeVerifyState } from '../../src/repository/verify-state.js';
import { mapLevels } from '../../src/repository/snapshot-document.js';
import { openDocument, sealDocument } from '../support/sealed-document.js';
import { snapshotIds } from '../support/arbitraries.js';
import { documentOf, idOf } from '../support/documents.js';
import { fuzz } from '../support/fuzzer.js';

const REPOSITORY = 'f'.repeat(32);

function refusesOnlyWith(codes: readonly ErrorCode[], work: () => unknown): void {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof VzvaultError, String(error));
    assert.ok(codes.includes(error.code), error.line);
    assert.doesNotMatch(error.message, /\n/);
  }
}

/** Some bytes changed, cut off, doubled or inserted. */
function mutated(original: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: original.length });
  const change = fc.oneof(
    fc.tuple(at, fc.integer({ min: 1, max: 255 })).map(([position, mask]) => (bytes: Buffer) => {
      const copy = Buffer.from(bytes);
      if (position < copy.length) copy[position] = (copy[position] ?? 0) ^ mask;
      return copy;
    }),
    at.map((length) => (bytes: Buffer) => bytes.subarray(0, length)),
    fc.tuple(at, fc.uint8Array({ maxLength: 16 })).map(
      ([position, more]) =>
        (bytes: Buffer) =>
          Buffer.concat([bytes.subarray(0, position), more, bytes.subarray(position)]),
    ),
    fc.tuple(at, at).map(
      ([from, to]) =>
        (bytes: Buffer) =>
          Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]),
    ),
  );
  return fc
    .array(change, { minLength: 1, maxLength: 4 })
    .map((changes) => changes.reduce((bytes, apply) => apply(bytes), original));
}

const names = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const sizes = fc.maxSafeNat();

const documents: fc.Arbitrary<SnapshotDocument> = fc
  .record(
    {
      id: snapshotIds,
      volumes: fc.uniqueArray(
        fc.record(
          { name: names, sizeBytes: sizes, rootId: fc.stringMatching(/^[0-9a-f]{64}$/) },
          { noNullPrototype: true },
        ),
        {
          selector: (volume) => volume.name,
          maxLength: 5,
        },
      ),
      files: fc.uniqueArray(fc.tuple(names, fc.uint8Array({ maxLength: 300 })), {
        selector: ([name]) => name,
        maxLength: 3,
      }),
      hostname: fc.string({ maxLength: 64, unit: 'grapheme' }),
    },
    { noNullPrototype: true },
  )
  .map(({ id, volumes, files, hostname }) =>
    documentOf(id, {
      finishedAtSeconds: id.timeSeconds,
      volumes: volumes.map((volume) => ({
        ...volume,
        // A map of nothing is no map.
        rootId: volume.sizeBytes === 0 ? '0'.repeat(64) : volume.rootId,
        chunkSizeBytes: 524288,
        levels: mapLevels(volume.sizeBytes, 524288),
      })),
      files: files.map(([name, bytes]) => ({ name, bytes: Buffer.from(bytes) })),
      createdBy: { version: '0.1.0', hostname },
    }),
  );

const id = idOf(100);
const plain = encodeSnapshotDocument(documentOf(id), REPOSITORY);
const sealed = sealDocument('snapshot', plain);
const verifyState = encodeVerifyState({ state: 'damaged', checkedAtSeconds: 0, message: 'büro' });
const config = newConfig({ chunkSizeBytes: 524288, createdAtSeconds: 0 });
const configBytes = encodeConfig(config);

fuzz({
  'reads every document that can be written': fc.property(documents, (document) => {
    const read = decodeSnapshotDocument(encodeSnapshotDocument(document, REPOSITORY), document.id, REPOSITORY);
    assert.deepEqual(read, document);
  }),

  'refuses mutated documents, and never reads them as another snapshot': fc.property(mutated(plain), (bytes) => {
    refusesOnlyWith(['E_SNAPSHOT_DAMAGED'], () => {
      assert.deepEqual(decodeSnapshotDocument(bytes, id, REPOSITORY).id, id);
    });
  }),

  'opens no sealed document that was mutated': fc.property(mutated(sealed), (bytes) => {
    if (!bytes.equals(sealed)) assert.throws(() => openDocument('snapshot', bytes), { code: 'E_SNAPSHOT_DAMAGED' });
  }),

  'refuses any JSON that is not a document or config': fc.property(fc.json(), (json) => {
    refusesOnlyWith(['E_SNAPSHOT_DAMAGED'], () => decodeSnapshotDocument(Buffer.from(json), id, REPOSITORY));
    refusesOnlyWith(['E_SNAPSHOT_DAMAGED'], () => decodeVerifyState(Buffer.from(json), id));
    refusesOnlyWith(['E_CONFIG_INVALID', 'E_FORMAT_UNKNOWN'], () => decodeConfig(Buffer.from(`${json}\n`), 'config'));
  }),

  'reads mutated verify states as one of the two, or refuses them': fc.property(mutated(verifyState), (bytes) => {
    refusesOnlyWith(['E_SNAPSHOT_DAMAGED'], () => {
      assert.match(decodeVerifyState(bytes, id).state, /^(?:ok|damaged)$/);
    });
  }),

  'refuses mutated configs': fc.property(mutated(configBytes), (changed) => {
    refusesOnlyWith(['E_CONFIG_INVALID', 'E_FORMAT_UNKNOWN'], () => {
      assert.deepEqual(decodeConfig(changed, 'config'), config);
      assert.ok(changed.equals(configBytes), 'read a changed config');
    });
  }),

  'refuses what names no snapshot': fc.property(fc.string({ unit: 'binary' }), (text) => {
    refusesOnlyWith(['E_ARGUMENT_INVALID'], () => parseSnapshotReference(text));
  }),

  'reads any storage.cfg without harm': fc.property(fc.string({ unit: 'binary', maxLength: 500 }), (text) => {
    for (const section of parseStorageConfig(`vzvault: a\n\tpath /x\n${text}`)) assert.notEqual(section.id, '');
  }),
});
