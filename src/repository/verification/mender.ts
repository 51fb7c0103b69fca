/**
 * Taking damaged packs out of use: what is left of each is stored anew, then its file gets a name in `quarantine/` (docs/format.md,
 * "Quarantine").
 *
 * Who mends is a writer in the eyes of collections, and relies on no other pack: the copy of a chunk that lies elsewhere may be damaged too, or just
 * be taken out of use by another machine. What is left of a pack is durable and listed before the file is moved, so a reader that misses it finds the
 * chunks elsewhere. A backup that has referred to the pack and does not know better finds them there as well: the session stays, and
 * keeps what it stored, until all backups can see that the pack is gone.
 */

import type { Salvage, SnapshotWriter } from '../../engine/types.js';
import { hasCode } from '../../lib/errors.js';
import { DEFAULT_COLLECTION_ZSTD_LEVEL } from '../collection/collector-defaults.js';
import { listPacks, packPath } from '../pack-files.js';
import type { Repository } from '../repository.js';
import { QUARANTINE } from '../sessions/quarantined.js';
import { WriterSession } from '../sessions/writer-session.js';
import type { MendingOptions } from './quarantine.js';

const WRITING = { zstdLevel: DEFAULT_COLLECTION_ZSTD_LEVEL, bandwidthLimitBytesPerSecond: 0 };

interface Shift {
  readonly session: WriterSession;
  readonly writer: SnapshotWriter;
}

export class Mender {
  /** The last one goes on; those before it ended with an error, and still keep what they stored. */
  readonly #shifts: Shift[] = [];
  #goesOn = false;
  #hasMoved = false;

  constructor(
    private readonly repository: Repository,
    private readonly options: MendingOptions,
  ) {}

  /** Salvages and moves one pack. E_KEY_MISSING, E_SESSION_FENCED, errors of the storage: then it is where it was. */
  async quarantine(pack: string): Promise<Salvage> {
    this.repository.access.require();
    const { session, writer } = await this.#shift();
    this.#goesOn = false;
    const store = await this.repository.openStore();
    await writer.exclude((await listPacks(this.repository.blobs)).packs);
    const signal = AbortSignal.any([this.options.signal, session.signal]);
    const salvage = await writer.salvage([pack], { signal });
    await writer.flush();
    await this.#move(session, pack);
    await store.refresh();
    this.#goesOn = true;
    return salvage;
  }

  /** Repeatable. Waits until what was moved can be seen to be gone, unless the signal is aborted. */
  async close(): Promise<void> {
    const { sharing, signal, graceMs } = this.options;
    const shifts = this.#shifts.splice(0);
    this.#goesOn = false;
    try {
      if (this.#hasMoved && graceMs > 0) await sharing.clock.sleep(2 * graceMs, signal);
      // What was condemned before a backup could see it: what was stored here is claimed.
      if (!signal.aborted) for (const { session } of shifts) await session.catchUp().catch(() => undefined);
    } finally {
      for (const { session, writer } of shifts) {
        await writer.close().catch(() => undefined);
        // Where it cannot be removed a collection ends it.
        await session.end().catch(() => undefined);
      }
    }
  }

  async #shift(): Promise<Shift> {
    const last = this.#shifts.at(-1);
    if (this.#goesOn && last?.session.signal.aborted === false) return last;
    const { blobs, sealer } = this.repository;
    const session = await WriterSession.open(blobs, sealer, this.options.sharing, { snapshot: null, roots: [] });
    try {
      const store = await this.repository.openStore();
      await store.refresh();
      const writer = await session.openWriter((excludedPacks) =>
        store.writer({ ...WRITING, sessionId: session.id, excludedPacks }),
      );
      const shift = { session, writer };
      this.#shifts.push(shift);
      return shift;
    } catch (error) {
      await session.end().catch(() => undefined);
      throw error;
    }
  }

  async #move(session: WriterSession, pack: string): Promise<void> {
    const { blobs } = this.repository;
    const from = packPath(pack);
    const to = await this.#freeName(`${QUARANTINE}/${pack}.pack`);
    let isMoved = true;
    this.#hasMoved = true;
    await session.attempt(
      async () => {
        try {
          isMoved = await blobs.move(from, to);
        } catch (error) {
          isMoved = !hasCode(error, 'E_NAME_TAKEN');
          throw error;
        }
      },
      async () => {
        if (isMoved) await blobs.move(to, from);
      },
    );
  }

  async #freeName(name: string): Promise<string> {
    const { blobs } = this.repository;
    for (let number = 1; ; number += 1) {
      const candidate = number === 1 ? name : `${name}.${number}`;
      if ((await blobs.status(candidate)) === null) return candidate;
    }
  }
}
