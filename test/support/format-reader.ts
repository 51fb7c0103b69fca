/**
 * A reader of repositories of format 1 written from docs/format.md alone, to prove that the page suffices. Slow and simple: it
 * holds everything in memory and checks each rule of the page that it relies on before it goes on. Shares no code with src/ or
 * native/. format-records.ts has the binary records, format-suite.ts and format-keys.ts what is encrypted, format-stream.ts and format-catalogue.ts the
 * archives, format-json.ts the JSON texts.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './format-error.js';
import { memberBytes, readCatalogue, type Member, type RecordPlace } from './format-catalogue.js';
import {
  CATALOGUE,
  DATA,
  DOCUMENT_LIMIT,
  isTombstone,
  MAP_NODE,
  PACK_LIMIT,
  readChunk,
  readDocument,
  readMapNode,
  readPack,
  readSegment,
  sha256,
  ZERO_SENTINEL,
  type Pack,
  type Segment,
} from './format-records.js';
import {
  isUtcTime,
  parseConfig,
  parseSnapshot,
  parseVerifyState,
  type Archive,
  type Config,
  type Snapshot,
  type VerifyState,
  type Volume,
} from './format-json.js';
import { openSuite, type Opener } from './format-keys.js';
import { readStream, type StreamContents } from './format-stream.js';
import type { Suite } from './format-suite.js';

const CONFIG_LIMIT = 64 * 1024;
const SEGMENT_LIMIT = 256 * 1024 * 1024;
const NODE_CHILDREN = 256;

export interface SnapshotFiles extends Snapshot {
  readonly protected: boolean;
  readonly notes: string | null;
  readonly log: Buffer | null;
  readonly verifyState: VerifyState | null;
}

export interface VolumeContents {
  readonly bytes: Buffer;
  /** Where the chunks begin that are not the zero sentinel. */
  readonly dataChunkOffsets: readonly number[];
}

export interface MemberContents extends Member {
  /** Where its data begins in the stream. */
  readonly dataOffset: number;
  /** All bytes of a file, its holes as zeroes; of anything else none. */
  readonly bytes: Buffer;
}

export interface ArchiveContents {
  readonly data: StreamContents;
  readonly catalogue: StreamContents;
  readonly members: readonly MemberContents[];
  readonly records: readonly RecordPlace[];
}

export interface RepositoryContents {
  readonly config: Config;
  readonly suite: Suite;
  readonly packs: ReadonlyMap<string, Pack>;
  readonly segments: ReadonlyMap<string, Segment>;
  readonly snapshots: readonly SnapshotFiles[];
  readVolume(volume: Volume): VolumeContents;
  readArchive(archive: Archive): ArchiveContents;
}

/** Reads the repository in this directory (the one with `config` in it), every chunk included; FormatError. An encrypted one takes an opener. */
export function readRepository(directory: string, opener: Opener | null = null): RepositoryContents {
  const config = readConfig(join(directory, 'config'));
  const suite = openSuite(directory, config, opener);
  const packs = readPacks(join(directory, 'packs'), suite);
  const segments = readSegments(join(directory, 'index'), suite);
  const snapshots = readSnapshots(directory, config, suite);
  const chunks = new ChunkReader(packs, segments, suite);
  const readVolume = (volume: Volume): VolumeContents => new VolumeReader(chunks, volume).read();
  const readAll = (archive: Archive): ArchiveContents => readArchive(chunks, archive);
  return { config, suite, packs, segments, snapshots, readVolume, readArchive: readAll };
}

function readBounded(path: string, limitBytes: number): Buffer {
  must(statSync(path).size <= limitBytes, `${path} is longer than its limit`);
  return readFileSync(path);
}

function readConfig(path: string): Config {
  const [line = '', checksum = '', rest, ...more] = readBounded(path, CONFIG_LIMIT).toString('utf8').split('\n');
  const config = parseConfig(line);
  must(rest === '' && more.length === 0, 'the config does not have two lines, each ended by LF');
  must(checksum === `sha256:${sha256(Buffer.from(line))}`, 'the config has another digest than its second line says');
  return config;
}

function readPacks(directory: string, suite: Suite): Map<string, Pack> {
  const packs = new Map<string, Pack>();
  for (const prefix of readdirSync(directory)) {
    for (const name of readdirSync(join(directory, prefix))) {
      must(name.startsWith(prefix) && prefix.length === 2, 'a pack lies in a directory of another prefix');
      const pack = readPack(readBounded(join(directory, prefix, name), PACK_LIMIT), name, suite);
      for (const ordinal of pack.entries.keys()) readChunk(pack, ordinal, suite);
      packs.set(name, pack);
    }
  }
  return packs;
}

function readSegments(directory: string, suite: Suite): Map<string, Segment> {
  const read = (name: string): Segment => readSegment(readBounded(join(directory, name), SEGMENT_LIMIT), name, suite);
  return new Map(readdirSync(directory).map((name) => [name, read(name)]));
}

function readSnapshots(directory: string, config: Config, suite: Suite): SnapshotFiles[] {
  const snapshots: SnapshotFiles[] = [];
  for (const guestType of readdirSync(join(directory, 'snapshots')).sort()) {
    must(guestType === 'qemu' || guestType === 'lxc', 'a group is of an unknown kind of guest');
    for (const vmid of readdirSync(join(directory, 'snapshots', guestType)).sort()) {
      const group = `${guestType}/${vmid}`;
      for (const name of readdirSync(join(directory, 'snapshots', group)).sort()) {
        const path = `snapshots/${group}/${name}`;
        if (isSnapshot(join(directory, path, 'snapshot'))) {
          snapshots.push(readSnapshot({ directory, path, group, name, config, suite }));
        }
      }
    }
  }
  return snapshots;
}

function isSnapshot(path: string): boolean {
  return existsSync(path) && !isTombstone(readBounded(path, DOCUMENT_LIMIT));
}

interface Place {
  /** Of the repository. */
  readonly directory: string;
  /** Of the snapshot in it. */
  readonly path: string;
  readonly group: string;
  readonly name: string;
  readonly config: Config;
  readonly suite: Suite;
}

function readSnapshot({ directory, path, group, name, config, suite }: Place): SnapshotFiles {
  const time = name.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  must(isUtcTime(time), 'a directory of a snapshot is not named by a time');
  const read = (file: string, kind: 1 | 2 | 3 | 4): Buffer | null =>
    existsSync(join(directory, path, file))
      ? readDocument(readBounded(join(directory, path, file), DOCUMENT_LIMIT), kind, `${path}/${file}`, suite)
      : null;
  const snapshot = parseSnapshot(utf8(read('snapshot', 1) ?? Buffer.alloc(0)));
  must(snapshot.repositoryId === config.repositoryId, 'a snapshot is of another repository');
  must(snapshot.group === group && snapshot.time === time, 'a snapshot lies in the directory of another');
  const mark = join(directory, path, 'protected');
  const isProtected = existsSync(mark);
  must(!isProtected || statSync(mark).size === 0, 'the mark of protection is not empty');
  const [notes, log, verifyState] = [read('notes', 2), read('log', 3), read('verify-state', 4)];
  return {
    ...snapshot,
    protected: isProtected,
    notes: notes === null ? null : utf8(notes),
    log,
    verifyState: verifyState === null ? null : parseVerifyState(utf8(verifyState)),
  };
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    must(false, 'a document is not UTF-8');
  }
}

/** Finds chunks as the page says: segment, pack, table entry. */
class ChunkReader {
  constructor(
    private readonly packs: ReadonlyMap<string, Pack>,
    private readonly segments: ReadonlyMap<string, Segment>,
    private readonly suite: Suite,
  ) {}

  read(id: string, type: number): Buffer {
    for (const segment of this.segments.values()) {
      if (!segment.mayHold(id)) continue;
      for (const found of segment.entries.filter((entry) => entry.id === id && entry.type === type)) {
        const pack = this.packs.get(found.packId);
        if (pack === undefined) continue;
        const { packId: _packId, ordinal, ...fields } = found;
        const entry = pack.entries[ordinal];
        must(entry !== undefined && sameFields(entry, fields), 'a segment and a pack disagree on a chunk');
        return readChunk(pack, ordinal, this.suite);
      }
    }
    must(false, 'a chunk that a map refers to is in no pack');
  }
}

function sameFields(left: object, right: object): boolean {
  const fields = (value: object): string => JSON.stringify(Object.entries(value).sort());
  return fields(left) === fields(right);
}

function readArchive(chunks: ChunkReader, archive: Archive): ArchiveContents {
  const data = readStream(chunks, archive.data, DATA);
  const catalogue = readStream(chunks, archive.catalogue, CATALOGUE);
  let offset = 0;
  const pieces = catalogue.pieces.map(({ lengthBytes }) => {
    offset += lengthBytes;
    return catalogue.bytes.subarray(offset - lengthBytes, offset);
  });
  const { members, records } = readCatalogue(pieces);
  must(members.length === archive.members, 'a catalogue has another number of members than its archive');
  let dataOffset = 0;
  const contents = members.map((member) => {
    const begin = dataOffset;
    dataOffset += member.storedBytes;
    must(dataOffset <= data.bytes.length, 'the members of an archive store more than its data');
    return { ...member, dataOffset: begin, bytes: memberBytes(member, data.bytes, begin) };
  });
  must(dataOffset === data.bytes.length, 'the members of an archive store less than its data');
  return { data, catalogue, members: contents, records };
}

/** Walks the map of one volume. */
class VolumeReader {
  readonly #chunkCount: number;
  readonly #bytes: Buffer;
  readonly #dataChunkOffsets: number[] = [];

  constructor(
    private readonly chunks: ChunkReader,
    private readonly volume: Volume,
  ) {
    this.#chunkCount = Math.ceil(volume.sizeBytes / volume.chunkSizeBytes);
    this.#bytes = Buffer.alloc(volume.sizeBytes);
  }

  read(): VolumeContents {
    const { levels, root } = this.volume;
    must(this.#chunkCount <= 2 ** 40, 'a volume has too many chunks');
    must(levels === levelsFor(this.#chunkCount), 'a map has another number of levels than the volume asks for');
    this.#node(root, levels - 1, 0);
    return { bytes: this.#bytes, dataChunkOffsets: this.#dataChunkOffsets };
  }

  /** The subtree that begins at this chunk number. */
  #node(id: string, level: number, firstChunk: number): void {
    if (id === ZERO_SENTINEL) return;
    const childChunks = NODE_CHILDREN ** level;
    const children = Math.min(NODE_CHILDREN, Math.ceil((this.#chunkCount - firstChunk) / childChunks));
    for (const [position, child] of readMapNode(this.chunks.read(id, MAP_NODE), level, children).entries()) {
      const childFirst = firstChunk + position * childChunks;
      if (level > 0) this.#node(child, level - 1, childFirst);
      else this.#data(child, childFirst);
    }
  }

  #data(id: string, number: number): void {
    if (id === ZERO_SENTINEL) return;
    const { sizeBytes, chunkSizeBytes } = this.volume;
    const offset = number * chunkSizeBytes;
    const plain = this.chunks.read(id, DATA);
    must(plain.length === Math.min(chunkSizeBytes, sizeBytes - offset), 'a chunk has another length than its place');
    must(
      plain.some((byte) => byte !== 0),
      'a chunk is stored although it is zero',
    );
    plain.copy(this.#bytes, offset);
    this.#dataChunkOffsets.push(offset);
  }
}

function levelsFor(chunkCount: number): number {
  let levels = 1;
  while (NODE_CHILDREN ** levels < chunkCount) levels += 1;
  return levels;
}
