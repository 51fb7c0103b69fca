/** Which packs a generation condemns: the dead ones, and those whose few live chunks are worth moving. Pure. */

import type { PackUse } from '../../engine/types.js';

/** Header and trailer of a pack, and what its table has for each chunk: docs/format.md. */
const FRAME_BYTES = 96;
const TABLE_ENTRY_BYTES = 52;

export interface PackChoiceLimits {
  /** Packs with a smaller share of live bytes are compacted ... */
  readonly compactBelowPercent: number;
  /** ... and packs below this size, where there are more than `smallPacks` of them. */
  readonly smallPackBytes: number;
  readonly smallPacks: number;
  /** Live bytes that are moved at most. */
  readonly compactBytes: number;
  /** Packs in all. */
  readonly packs: number;
}

export interface PackChoice {
  readonly dead: readonly PackUse[];
  /** Least live first. */
  readonly compact: readonly PackUse[];
}

export function choosePacks(packs: readonly PackUse[], limits: PackChoiceLimits): PackChoice {
  const dead = packs.filter(({ liveChunks }) => liveChunks === 0).slice(0, limits.packs);
  const live = packs.filter(({ liveChunks }) => liveChunks > 0).sort((a, b) => share(a) - share(b));
  const mostlyDead = live.filter((pack) => share(pack) * 100 < limits.compactBelowPercent);
  const rest = live.filter((pack) => share(pack) * 100 >= limits.compactBelowPercent);
  const small = rest.filter(({ fileBytes }) => fileBytes < limits.smallPackBytes);
  const wanted = small.length > limits.smallPacks ? [...mostlyDead, ...small] : mostlyDead;
  const compact: PackUse[] = [];
  let movedBytes = 0;
  for (const pack of wanted) {
    movedBytes += pack.liveStoredBytes;
    if (movedBytes > limits.compactBytes || dead.length + compact.length >= limits.packs) break;
    compact.push(pack);
  }
  return { dead, compact };
}

/** How much of the pack would be there again after it was compacted, 0 … 1: 1 where all of it is live, however small its chunks are. */
function share({ liveChunks, liveStoredBytes, fileBytes }: PackUse): number {
  const keptBytes = FRAME_BYTES + liveChunks * TABLE_ENTRY_BYTES + liveStoredBytes;
  return keptBytes >= fileBytes ? 1 : keptBytes / fileBytes;
}
