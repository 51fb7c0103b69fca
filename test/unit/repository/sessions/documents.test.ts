import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MapRoot } from '../../../../src/engine/types.js';
import { sharingLimits } from '../../../../src/lib/limits.js';
import {
  claimCodec,
  collectedCodec,
  condemnedCodec,
  verdictCodec,
} from '../../../../src/repository/collection/generation-documents.js';
import { sessionCodec, type SessionDocument } from '../../../../src/repository/sessions/session-document.js';
import type { SharingCodec } from '../../../../src/repository/sessions/sharing-document.js';
import { isTombstone, tombstoneCodec } from '../../../../src/repository/sessions/tombstone.js';
import { throwsWith } from '../../../support/assertions.js';
import { openDocument, sealDocument } from '../../../support/sealed-document.js';

const sealer = { openDocument, sealDocument };
const SID = 'a'.repeat(32);
const PACK = 'b'.repeat(64);
const owner = { hostname: 'node1', bootId: 'boot', pidNamespace: 'pid:[1]', pid: 7, startTicks: 9 };
const roots = [
  { kind: 'volume', sizeBytes: 1000, chunkSizeBytes: 524_288, levels: 1, rootId: 'c'.repeat(64) },
  { kind: 'stream', type: 'data', sizeBytes: 9, levels: 2, rootId: 'd'.repeat(64) },
] as const;
const session: SessionDocument = {
  ...{ sid: SID, kind: 'writer', counter: 3, owner, snapshot: 'snapshots/qemu/100/20261122T041714Z', roots, seen: 4 },
};

/** What JSON makes of the changes. */
function refuses<Value extends object>(
  codec: SharingCodec<Value>,
  value: Value,
  changes: Record<string, unknown>,
): void {
  const sealed = sealDocument(codec.kind, Buffer.from(JSON.stringify({ ...value, ...changes })));
  throwsWith('E_SNAPSHOT_DAMAGED', () => codec.open(sealer, 'sessions/x', sealed));
}

describe('the documents of sharing and collection', () => {
  it('come back as they were written', () => {
    const same = <Value>(codec: SharingCodec<Value>, value: Value): void => {
      assert.deepEqual(codec.open(sealer, 'x', codec.seal(sealer, value)), value);
    };
    same(sessionCodec, session);
    same(condemnedCodec, { generation: 1, sid: SID, packs: [PACK] });
    same(claimCodec, { generation: 1, sid: SID, keeps: [], roots });
    same(verdictCodec, { generation: 1, sid: SID, packs: [] });
    same(tombstoneCodec, { sid: SID, by: SID, fencedAt: '2026-11-22T04:17:14Z' });
    const finishedAt = '2026-11-22T04:17:14Z';
    same(collectedCodec, { generation: 9, sid: SID, hostname: 'n', finishedAt, packs: 2, freedBytes: 5 });
  });

  it('are refused where a field is not what it must be', () => {
    refuses(sessionCodec, session, { sid: '../x' });
    refuses(sessionCodec, session, { counter: -1 });
    refuses(sessionCodec, session, { kind: 'owner' });
    refuses(sessionCodec, session, { snapshot: 'snapshots/qemu/100/../../config' });
    refuses(sessionCodec, { ...session, kind: 'reader' }, {});
    refuses(sessionCodec, session, { roots: [{ ...roots[0], levels: 0 }] });
    refuses(sessionCodec, session, { owner: { ...owner, hostname: 'x'.repeat(1000) } });
    refuses(condemnedCodec, { generation: 1, sid: SID, packs: [PACK] }, { packs: ['../../etc/passwd'] });
    refuses(verdictCodec, { generation: 1, sid: SID, packs: [PACK] }, { generation: 0 });
    refuses(claimCodec, { generation: 1, sid: SID, keeps: [], roots }, { keeps: 'all' });
  });

  it('are not written where nobody could read them', () => {
    const refusesToSeal = <Value>(codec: SharingCodec<Value>, value: Value): void => {
      throwsWith('E_ARGUMENT_INVALID', () => codec.seal(sealer, value));
    };
    const root = (index: number): MapRoot => ({ ...roots[0], rootId: index.toString(16).padStart(64, '0') });
    const manyRoots = Array.from({ length: sharingLimits.roots + 1 }, (_, index) => root(index + 1));
    refusesToSeal(sessionCodec, { ...session, roots: manyRoots });
    refusesToSeal(sessionCodec, { ...session, sid: 'x' });
    refusesToSeal(claimCodec, { generation: 1, sid: SID, keeps: [], roots: manyRoots });
    refusesToSeal(condemnedCodec, { generation: 0, sid: SID, packs: [PACK] });
    const most = { ...session, roots: manyRoots.slice(1) };
    assert.deepEqual(sessionCodec.open(sealer, 'x', sessionCodec.seal(sealer, most)), most);
  });

  it('are refused where they are of another kind, torn, or no JSON', () => {
    const sealed = condemnedCodec.seal(sealer, { generation: 1, sid: SID, packs: [PACK] });
    throwsWith('E_SNAPSHOT_DAMAGED', () => verdictCodec.open(sealer, 'x', sealed));
    throwsWith('E_SNAPSHOT_DAMAGED', () => condemnedCodec.open(sealer, 'x', sealed.subarray(0, sealed.length - 1)));
    throwsWith('E_SNAPSHOT_DAMAGED', () =>
      condemnedCodec.open(sealer, 'x', sealDocument('condemned', Buffer.from('{'))),
    );
  });

  it('tell a tombstone from a snapshot by its header alone', () => {
    assert.equal(
      isTombstone(tombstoneCodec.seal(sealer, { sid: SID, by: SID, fencedAt: '2026-11-22T04:17:14Z' })),
      true,
    );
    assert.equal(isTombstone(sealDocument('snapshot', Buffer.from('{}'))), false);
    assert.equal(isTombstone(Buffer.alloc(0)), false);
    assert.equal(isTombstone(Buffer.alloc(100, 9)), false);
  });
});
