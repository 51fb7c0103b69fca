/**
 * What must hold after every step, looked at from outside: on what the disk really holds, not on what anybody sees of it.
 */
import { isTombstone } from '../../../src/repository/sessions/tombstone.js';
import { decodeSnapshotDocument } from '../../../src/repository/snapshot-document.js';
import { parseSnapshotPath } from '../../../src/lib/guest.js';
import { openDocument } from '../sealed-document.js';
import type { ReaderWatch } from './actors.js';
import { badChunks, chunksBelow, decodePack, readableChunks } from './chunk-files.js';
import type { DiskObserver, SimDisk } from './directory.js';
import type { SimProcess } from './world.js';

export class Violation extends Error {
  override readonly name = 'Violation';
}

interface Reader {
  readonly chunks: ReadonlySet<string>;
  isFenced: boolean;
}

export class Invariants implements DiskObserver, ReaderWatch {
  /** What each committed snapshot refers to, by the path of its document. */
  readonly #snapshots = new Map<string, ReadonlySet<string>>();
  /**
   * Chunks of which a copy was damaged: they may be lost, until one can be read in a pack that no collection has found superfluous and none is damaged.
   * A collection takes a damaged copy that nobody has noticed for one that will do.
   */
  readonly #hurt = new Set<string>();
  /** Those that ever were: who reads may see what was a while ago. */
  readonly #onceHurt = new Set<string>();
  readonly #readers = new Map<string, Reader>();
  readonly #verdicts = new Set<string>();
  readonly #condemned = new Set<string>();
  readonly #damagedMs = new Map<string, number>();
  /** What a process has taken out of use that others need, by its name: until it puts it back, or goes on. */
  readonly #taken = new Map<string, string>();
  readonly #committed = new Set<string>();
  readonly #buried = new Set<string>();
  readonly #endedBy = new Map<string, string>();
  #isDirty = false;
  #violation: Violation | null = null;
  commits = 0;
  fences = 0;
  deletedPacks = 0;
  brokenReads = 0;
  damagedPacks = 0;
  quarantinedPacks = 0;

  constructor(private readonly disk: SimDisk) {}

  onPut(path: string, bytes: Buffer): void {
    if (/^condemned\/\d+$/.test(path)) {
      const { packs } = JSON.parse(openDocument('condemned', bytes).toString()) as { packs: string[] };
      for (const pack of packs) this.#condemned.add(pack);
    }
    if (path.endsWith('.verdict')) {
      const { packs } = JSON.parse(openDocument('verdict', bytes).toString()) as { packs: string[] };
      for (const pack of packs) this.#verdicts.add(pack);
    }
    if (!path.endsWith('/snapshot')) return;
    if (isTombstone(bytes)) {
      this.#buried.add(path);
      this.fences += 1;
      return;
    }
    if (this.#buried.has(path)) this.#fail(`${path} was committed although its session was fenced`);
    if (this.#committed.has(path)) this.#fail(`${path} was committed twice`);
    const id = parseSnapshotPath(path.replace(/\/snapshot$/, ''));
    if (id === null) throw new Error(`no snapshot: ${path}`);
    const { volumes } = decodeSnapshotDocument(openDocument('snapshot', bytes), id, 'f'.repeat(32));
    const roots = volumes.map(({ rootId }) => rootId);
    this.#snapshots.set(path, this.#chunksBelow(roots));
    this.#committed.add(path);
    this.commits += 1;
    this.#isDirty = true;
  }

  onRemove(path: string, process: SimProcess): void {
    if (path.startsWith('packs/')) {
      const pack = path.split('/').at(-1) ?? '';
      if (!this.#verdicts.has(pack)) this.#fail(`the pack ${pack.slice(0, 8)} was deleted without a verdict`);
      this.deletedPacks += 1;
      this.#isDirty = true;
    }
    if (path.startsWith('index/')) this.#isDirty = true;
    if (path.endsWith('/snapshot')) {
      // A name that a snapshot had will never be that of another.
      if (!this.#committed.has(path)) this.#fail(`the tombstone ${path} was removed`);
      this.#snapshots.delete(path);
    }
    if (path.startsWith('sessions/')) this.#onSessionRemoved(path.slice('sessions/'.length), process);
  }

  onMove(from: string, to: string, process: SimProcess): void {
    this.#isDirty = true;
    const bytes = this.disk.get(from);
    this.#taken.delete(process.name);
    // A pack that is put back may be damaged.
    if (to.startsWith('packs/')) this.#hurtAll(bytes);
    if (!from.startsWith('packs/')) return;
    if (!to.startsWith('quarantine/')) this.#fail(`${from} became ${to}`);
    if (badChunks(bytes).length === 0) this.#fail(`${from} is in quarantine, and sound`);
    this.quarantinedPacks += 1;
    const lost = this.#onlyIn(from);
    if (lost !== null)
      this.#taken.set(process.name, `${from} was taken out of use with the only sound copy of ${lost}`);
  }

  onDamage(path: string): void {
    this.damagedPacks += 1;
    this.#damagedMs.set(path, this.disk.world.nowMs);
    this.#hurtAll(this.disk.get(path));
  }

  begin(sid: string, rootIds: readonly string[]): void {
    this.#readers.set(sid, { chunks: this.#chunksBelow(rootIds), isFenced: this.#endedBy.has(sid) });
  }

  end(sid: string): void {
    this.#readers.delete(sid);
  }

  failed(sid: string, chunk: string, why: string): void {
    if (this.#readers.get(sid)?.isFenced === false && !this.#onceHurt.has(chunk))
      this.#fail(`a reader could not read on: ${why}`);
    this.brokenReads += 1;
  }

  /** Throws a Violation. */
  check(): void {
    if (this.#violation === null && this.#isDirty) this.#checkChunks();
    this.#isDirty = false;
    if (this.#violation !== null) throw this.#violation;
  }

  /** After everything has come to rest and was collected. */
  checkNoGarbage(): void {
    const readable = readableChunks(this.disk);
    // A node of a map that could not be read when a snapshot was committed may be whole again: what is below it counts as well.
    const known = [...this.#snapshots.values()].flatMap((chunks) => [...chunks]);
    const live = new Set(known.flatMap((id) => chunksBelow(readable, id)));
    for (const id of live) if (!readable.has(id)) this.#fail(`the chunk ${id.slice(0, 8)} is not there in the end`);
    const packs = this.disk.paths('packs/');
    for (const path of packs) {
      const { chunks } = decodePack(this.disk.get(path) ?? Buffer.alloc(0));
      if (!chunks.some(({ id }) => live.has(id))) this.#fail(`${path} is garbage and still there`);
    }
    const left = [...this.disk.paths('sessions/'), ...this.disk.paths('tmp/'), ...this.disk.paths('condemned/')];
    const unexpected = left.filter((path) => !path.endsWith('.done'));
    if (unexpected.length > 0) this.#fail(`still there: ${unexpected.join(', ')}`);
    if (this.#violation !== null) throw this.#violation;
  }

  /** Paths of the snapshots that lack something. */
  incomplete(): string[] {
    const readable = readableChunks(this.disk);
    return [...this.#snapshots]
      .filter(([, chunks]) => [...chunks].flatMap((id) => chunksBelow(readable, id)).some((id) => !readable.has(id)))
      .map(([path]) => path)
      .sort();
  }

  #checkChunks(): void {
    const readable = readableChunks(this.disk);
    const lost = (chunks: ReadonlySet<string>): string | undefined =>
      [...chunks].find((id) => !readable.has(id) && !this.#hurt.has(id));
    for (const [path, chunks] of this.#snapshots) {
      const id = lost(chunks);
      if (id !== undefined) this.#fail(`${path} lacks the chunk ${id.slice(0, 8)}`);
    }
    for (const [sid, { chunks, isFenced }] of this.#readers) {
      if (!isFenced && lost(chunks) !== undefined) this.#fail(`the reader ${sid} lost a chunk`);
    }
    if (this.#hurt.size === 0) return;
    const bad = new Set(this.disk.paths('packs/').flatMap((path) => badChunks(this.disk.get(path))));
    const safe = readableChunks(this.disk, this.#condemned);
    for (const id of this.#hurt) if (safe.has(id) && !bad.has(id)) this.#hurt.delete(id);
  }

  #chunksBelow(roots: readonly string[]): ReadonlySet<string> {
    const readable = readableChunks(this.disk);
    return new Set(roots.flatMap((root) => chunksBelow(readable, root)));
  }

  /** A chunk that a snapshot needs and that no other pack has. Null: none, or just what was stored instead was damaged as well. */
  #onlyIn(path: string): string | null {
    const readable = readableChunks(this.disk, new Set([path.split('/').at(-1) ?? '']));
    const { chunks } = decodePack(this.disk.get(path) ?? Buffer.alloc(0));
    const since = this.#damagedMs.get(path) ?? 0;
    const excused = new Set(
      this.disk
        .paths('packs/')
        .filter((other) => this.disk.writtenMs(other) > since)
        .flatMap((other) => badChunks(this.disk.get(other))),
    );
    const needed = new Set([...this.#snapshots.values()].flatMap((ids) => [...ids]));
    const only = chunks.find(
      ({ id, isBad }) => isBad !== true && needed.has(id) && !readable.has(id) && !excused.has(id),
    );
    return only?.id ?? null;
  }

  #onSessionRemoved(sid: string, process: SimProcess): void {
    const taken = this.#taken.get(process.name);
    if (taken !== undefined) this.#fail(taken);
    this.#endedBy.set(sid, process.name);
    const reader = this.#readers.get(sid);
    if (reader !== undefined) reader.isFenced = true;
  }

  #hurtAll(pack: Buffer | null): void {
    for (const id of badChunks(pack)) {
      this.#hurt.add(id);
      this.#onceHurt.add(id);
    }
  }

  #fail(why: string): void {
    this.#violation ??= new Violation(why);
  }
}
