/** Variants of the algorithm, each with one of its rules left out: the simulation is worth something only if it catches them. */
import { isTombstone } from '../../../src/repository/sessions/tombstone.js';
import { sealDocument } from '../sealed-document.js';
import type { RunHabits, RunOptions } from './run.js';
import { SimDirectory, type SimDisk } from './directory.js';
import type { SimProcess } from './world.js';

/** Fences without taking the name: a writer that wakes up commits. */
class NoTombstones extends SimDirectory {
  override async putIfAbsent(name: string, bytes: Buffer): Promise<void> {
    if (!isTombstone(bytes)) await super.putIfAbsent(name, bytes);
  }
}

/** Shows a claim of every session: collectors wait for nobody. */
class EverythingClaimed extends SimDirectory {
  constructor(
    private readonly simDisk: SimDisk,
    process: SimProcess,
  ) {
    super(simDisk, process);
  }

  override async list(name: string): ReturnType<SimDirectory['list']> {
    const entries = await super.list(name);
    if (name !== 'condemned' || entries === null) return entries;
    const pending = entries.filter((entry) => /^\d{12}$/.test(entry.name));
    const sids = this.simDisk.paths('sessions/').map((path) => path.slice('sessions/'.length));
    const claims = pending.flatMap((entry) => sids.map((sid) => `${entry.name}.claim.${sid}`));
    const missing = claims.filter((claim) => !entries.some((entry) => entry.name === claim));
    return [...entries, ...missing.map((claim) => ({ name: claim, kind: 'file' as const }))];
  }

  override async read(name: string): Promise<Buffer | null> {
    const found = await super.read(name);
    if (found !== null || !name.includes('.claim.')) return found;
    const [generation = '', , sid = ''] = name.slice('condemned/'.length).split('.');
    return emptyClaim(Number(generation), sid);
  }
}

/** Creates what is there already: exactly one of several wins, but for this. */
class NotAtomic extends SimDirectory {
  constructor(disk: SimDisk, process: SimProcess) {
    super(disk, process, 'none');
  }
}

function emptyClaim(generation: number, sid: string): Buffer {
  return sealDocument('claim', Buffer.from(JSON.stringify({ generation, sid, keeps: [], roots: [] })));
}

/** A place where packs go bad all the time, and processes sleep often: what is rare elsewhere is not here. */
export const ROTTEN: RunOptions = {
  habits: { temper: { values: 40, damages: 60, badShare: 0.15, damagePauseMs: 1_200_000 } },
  rates: { pause: 0.02 },
  maxSteps: 4000,
};

export const CANARIES: Readonly<Record<string, RunOptions>> = {
  'a writer that uses what is condemned': { habits: { defects: { ignoresExclusion: true } } },
  'a writer that does not tell what it uses': { habits: { defects: { answersNoKeeps: true } } },
  'a writer that does not tell what it builds on': { habits: { hidesBase: true } },
  'a reader that looks before it announces itself': { habits: { looksFirst: true } },
  'a collector that does not mark anew': { habits: { defects: { needsNothing: true } } },
  'a collector that does not wait for listings to become true': { habits: { graceMs: 0 } },
  'a collector that does not wait for claims': seenThrough((disk, process) => new EverythingClaimed(disk, process)),
  'a fence that leaves the name free': seenThrough((disk, process) => new NoTombstones(disk, process)),
  'names that can be taken twice': seenThrough((disk, process) => new NotAtomic(disk, process)),
  'a verifier that moves a pack before what is left of it is listed': {
    habits: { defects: { salvagesUnlisted: true } },
  },
  'a verifier that relies on other copies': rotten({ defects: { salvagesSparingly: true } }),
};

function seenThrough(directoryOf: (disk: SimDisk, process: SimProcess) => SimDirectory): RunOptions {
  return { habits: { directoryOf: (_, disk, process) => directoryOf(disk, process) } };
}

function rotten(habits: RunHabits): RunOptions {
  return { ...ROTTEN, habits: { ...ROTTEN.habits, ...habits } };
}
