import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import {
  markSnapshots,
  parseKeepRules,
  type KeepRules,
  type Mark,
  type PrunableSnapshot,
} from '../../../src/repository/retention.js';
import { projectRoot } from '../../support/project.js';

interface Vector {
  readonly zone: string;
  readonly keep: KeepRules;
  readonly snapshots: readonly (readonly [number, string])[];
}

const zone = process.env['TZ'];
const at = (timeSeconds: number, state: { protected?: boolean; damaged?: boolean; vmid?: number } = {}) =>
  ({
    id: { guestType: 'qemu', vmid: state.vmid ?? 100, timeSeconds },
    protected: state.protected ?? false,
    damaged: state.damaged ?? false,
  }) satisfies PrunableSnapshot;

function marks(snapshots: readonly PrunableSnapshot[], rules: KeepRules): Mark[] {
  return markSnapshots(snapshots, rules).map(({ mark }) => mark);
}

describe('retention', () => {
  afterEach(() => {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });

  it("is Proxmox VE's own on random series in several time zones", () => {
    const text = readFileSync(join(projectRoot, 'test/fixtures/retention/vectors.json'), 'utf8');
    const vectors = JSON.parse(text) as Vector[];
    assert.equal(vectors.length, 250);
    for (const { zone: vectorZone, keep, snapshots } of vectors) {
      process.env['TZ'] = vectorZone;
      const group = snapshots.map(([timeSeconds, mark]) => at(timeSeconds, { protected: mark === 'p' }));
      const found = marks(group, keep).map((mark) => mark.charAt(0));
      assert.deepEqual(
        found,
        snapshots.map(([, mark]) => mark),
        JSON.stringify({ vectorZone, keep, snapshots }),
      );
    }
  });

  it('keeps everything without a rule', () => {
    assert.deepEqual(marks([at(1), at(2), at(3, { protected: true })], { last: 0 }), ['keep', 'keep', 'protected']);
  });

  it('neither counts nor removes a damaged snapshot', () => {
    assert.deepEqual(marks([at(1), at(2), at(3, { damaged: true })], { last: 1 }), ['remove', 'keep', 'damaged']);
  });

  it('reads the rules of a storage', () => {
    assert.deepEqual(parseKeepRules('keep-last=3, keep-weekly=4'), { last: 3, weekly: 4 });
    assert.deepEqual(parseKeepRules('keep-all=1'), {});
    for (const wrong of ['', 'keep-last', 'keep-last=-1', 'keep-daily=x', 'keep-centuries=1', 'last=1'])
      assert.throws(() => parseKeepRules(wrong), { code: 'E_ARGUMENT_INVALID' }, wrong);
  });

  it('judges each guest by itself', () => {
    assert.deepEqual(marks([at(1), at(2, { vmid: 101 }), at(3)], { last: 1 }), ['remove', 'keep', 'keep']);
  });
});
