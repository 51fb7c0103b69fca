/** The JSON texts of docs/format.md, of config, snapshot, verify state and keys, read from that page alone. Unknown further fields are ignored. */
import { FormatError, must } from './format-error.js';
import type { Stream } from './format-stream.js';

export interface Config {
  readonly repositoryId: string;
  readonly createdAt: string;
  readonly chunkSizeBytes: number;
  /** Null where the repository is not encrypted. */
  readonly keyFingerprint: string | null;
}

/** The first line of a key document. */
export interface KeyHeader {
  readonly repositoryId: string;
  readonly fingerprint: string;
  /** Null: a key opens it, not a passphrase. */
  readonly scrypt: { readonly N: number; readonly r: number; readonly p: number; readonly salt: Buffer } | null;
  readonly salt: Buffer;
}

export interface Volume {
  readonly name: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly levels: number;
  readonly root: string;
}

export interface Archive {
  readonly name: string;
  readonly members: number;
  readonly data: Stream;
  readonly catalogue: Stream;
}

export interface Snapshot {
  readonly repositoryId: string;
  readonly group: string;
  readonly time: string;
  readonly volumes: readonly Volume[];
  readonly archives: readonly Archive[];
  readonly files: readonly { readonly name: string; readonly bytes: Buffer }[];
  readonly stats: Readonly<Record<string, number>>;
}

export interface VerifyState {
  readonly state: string;
  readonly checkedAt: string;
  readonly message: string;
  /** Chunks as `data:<id>`, or `many`. */
  readonly missing?: readonly string[] | 'many';
}

const CHUNK_SIZES = [262_144, 524_288, 1_048_576, 4_194_304];
const STATS = ['readBytes', 'zeroBytes', 'reusedBytes', 'newBytes', 'addedBytes'];
const FINGERPRINT = /^[0-9a-f]{32}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The first line of the config. The format comes first; the caller checks the second line after it. */
export function parseConfig(line: string): Config {
  const config = new Fields(parseJson(line, 'the config'), 'the config');
  config.mustBe('format', 1);
  const isEncrypted = config.text('suite', /^(?:none|aes-256-gcm)$/) !== 'none';
  config.mustBe('hash', isEncrypted ? 'hmac-sha256' : 'sha256');
  if (!isEncrypted) config.mustBe('keyFingerprint', null);
  return {
    repositoryId: config.text('repositoryId', FINGERPRINT),
    createdAt: config.time('createdAt'),
    chunkSizeBytes: config.chunkSize(),
    keyFingerprint: isEncrypted ? config.text('keyFingerprint', FINGERPRINT) : null,
  };
}

export function parseKeyHeader(line: string): KeyHeader {
  const header = new Fields(parseJson(line, 'a key document'), 'a key document');
  header.mustBe('version', 1);
  header.text('label', /^[^]{0,64}$/);
  header.time('createdAt');
  return {
    repositoryId: header.text('repositoryId', FINGERPRINT),
    fingerprint: header.text('fingerprint', FINGERPRINT),
    scrypt: header.isNull('scrypt') ? null : parseScrypt(header.object('scrypt')),
    salt: Buffer.from(header.text('salt', /^[0-9a-f]{64}$/), 'hex'),
  };
}

function parseScrypt(scrypt: Fields): KeyHeader['scrypt'] {
  const N = scrypt.count('N');
  must(N >= 2 ** 14 && N <= 2 ** 19 && Number.isInteger(Math.log2(N)), 'a key document asks for an impossible scrypt');
  scrypt.mustBe('r', 8);
  scrypt.mustBe('p', 1);
  return { N, r: 8, p: 1, salt: Buffer.from(scrypt.text('salt', /^[0-9a-f]{64}$/), 'hex') };
}

export function parseSnapshot(json: string): Snapshot {
  const snapshot = new Fields(parseJson(json, 'a snapshot'), 'a snapshot');
  snapshot.mustBe('format', 1);
  snapshot.time('finishedAt');
  const createdBy = snapshot.object('createdBy');
  createdBy.text('version', /^[^]{0,256}$/);
  createdBy.text('hostname', /^[^]{0,256}$/);
  const stats = snapshot.object('stats');
  return {
    repositoryId: snapshot.text('repositoryId', /^[0-9a-f]{32}$/),
    group: snapshot.text('group', /^(?:qemu|lxc)\/[1-9]\d{2,8}$/),
    time: snapshot.time('time'),
    volumes: uniquelyNamed(snapshot.list('volumes', 256).map(parseVolume)),
    archives: snapshot.has('archives') ? uniquelyNamed(snapshot.list('archives', 16).map(parseArchive)) : [],
    files: uniquelyNamed(snapshot.list('files', 64).map(parseFile)),
    stats: {
      ...Object.fromEntries(STATS.map((name) => [name, stats.count(name)])),
      unchangedBytes: stats.has('unchangedBytes') ? stats.count('unchangedBytes') : 0,
    },
  };
}

export function parseVerifyState(json: string): VerifyState {
  const state = new Fields(parseJson(json, 'a verify state'), 'a verify state');
  return {
    state: state.text('state', /^(?:ok|damaged)$/),
    checkedAt: state.time('checkedAt'),
    message: state.text('message', /^/),
    ...(state.has('missing') ? { missing: state.manyOrChunks('missing', 128) } : {}),
  };
}

function parseVolume(volume: Fields): Volume {
  return {
    name: volume.text('name', NAME),
    sizeBytes: volume.count('sizeBytes'),
    chunkSizeBytes: volume.chunkSize(),
    levels: volume.count('levels'),
    root: volume.text('root', /^[0-9a-f]{64}$/),
  };
}

function parseArchive(archive: Fields): Archive {
  const stream = (name: string): Stream => {
    const fields = archive.object(name);
    const [sizeBytes, levels] = [fields.count('sizeBytes'), fields.count('levels')];
    return { sizeBytes, levels, root: fields.text('root', /^[0-9a-f]{64}$/) };
  };
  const [name, members] = [archive.text('name', NAME), archive.count('members')];
  return { name, members, data: stream('data'), catalogue: stream('catalogue') };
}

function parseFile(file: Fields): { name: string; bytes: Buffer } {
  const base64 = file.text('base64', /^/);
  const bytes = Buffer.from(base64, 'base64');
  must(bytes.toString('base64') === base64, 'a file is not base64');
  return { name: file.text('name', NAME), bytes };
}

function uniquelyNamed<T extends { readonly name: string }>(things: T[]): T[] {
  must(new Set(things.map(({ name }) => name)).size === things.length, 'a name stands twice');
  return things;
}

/** Whether it is a time as the page writes it, of a day that exists. */
export function isUtcTime(text: string): boolean {
  const milliseconds = Date.parse(text);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString() === text.replace(/Z$/, '.000Z');
}

/** The fields of a JSON object, each checked as it is taken. */
class Fields {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(
    value: unknown,
    private readonly what: string,
  ) {
    must(typeof value === 'object' && value !== null && !Array.isArray(value), `${what} is not a JSON object`);
    this.#values = value as Record<string, unknown>;
  }

  mustBe(name: string, value: unknown): void {
    must(this.#values[name] === value, `${this.what} has another ${name} than this reader knows`);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#values, name);
  }

  isNull(name: string): boolean {
    return this.#values[name] === null;
  }

  text(name: string, pattern: RegExp): string {
    const value = this.#values[name];
    must(typeof value === 'string' && pattern.test(value), `${this.what} has an invalid ${name}`);
    return value;
  }

  time(name: string): string {
    const value = this.text(name, /^/);
    must(isUtcTime(value), `${this.what} has an invalid ${name}`);
    return value;
  }

  count(name: string): number {
    const value = this.#values[name];
    must(Number.isSafeInteger(value) && (value as number) >= 0, `${this.what} has an invalid ${name}`);
    return value as number;
  }

  chunkSize(): number {
    const value = this.count('chunkSizeBytes');
    must(CHUNK_SIZES.includes(value), `${this.what} has an unknown chunk size`);
    return value;
  }

  manyOrChunks(name: string, limit: number): readonly string[] | 'many' {
    const value: unknown = this.#values[name];
    if (value === 'many') return value;
    must(Array.isArray(value) && value.length <= limit, `${this.what} has an invalid ${name}`);
    return value.map((chunk: unknown) => {
      const isChunk = typeof chunk === 'string' && /^(?:data|map-node|catalogue):[0-9a-f]{64}$/.test(chunk);
      must(isChunk, `${this.what} has an invalid ${name}`);
      return chunk;
    });
  }

  object(name: string): Fields {
    return new Fields(this.#values[name], `${name} of ${this.what}`);
  }

  list(name: string, limit: number): Fields[] {
    const value = this.#values[name];
    must(Array.isArray(value), `${this.what} has no list of ${name}`);
    must(value.length <= limit, `${this.what} has too many ${name}`);
    return value.map((item) => new Fields(item, `${name} of ${this.what}`));
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new FormatError(`${what} is not JSON`);
  }
}
