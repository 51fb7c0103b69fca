/** What the task log says of each drive: how it was read, and why. */
import assert from 'node:assert/strict';
import type { Backup } from './model-world.js';

const line = /^info: ([\w-]+): .*, mode (full|incremental): (.*)$/;

/** `incremental`, or why the drive was read in full, by device. Exactly one line a drive. */
export function howRead({ log }: Pick<Backup, 'log'>): Record<string, string> {
  const told: Record<string, string> = {};
  for (const text of log) {
    const [, device, mode, why] = line.exec(text) ?? [];
    if (device === undefined || why === undefined) continue;
    assert.equal(told[device], undefined, `one line says how ${device} is read`);
    told[device] = mode === 'incremental' ? 'incremental' : why;
  }
  return told;
}

/** All drives were read in the same way: `incremental`, or in full for a reason that matches. */
export function assertRead(backup: Backup, how: 'incremental' | RegExp): void {
  const told = Object.entries(howRead(backup));
  assert.equal(told.length, backup.devices.length, backup.log.join('\n'));
  for (const [device, why] of told) {
    if (how === 'incremental') assert.equal(why, how, device);
    else assert.match(why, how, device);
  }
}
