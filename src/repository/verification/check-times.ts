/**
 * When each pack was checked last, for all nodes: small text files `verified/ab`, one for the packs of each prefix (docs/format.md, "Times of checks").
 *
 * They only say in which order packs are worth reading. One that is missing, damaged or older than the truth costs a check that was not needed;
 * nodes that write one at the same time lose each other's newest times, no more.
 */

import { createHash } from 'node:crypto';
import { hasCode } from '../../lib/errors.js';
import { repositoryLimits } from '../../lib/limits.js';
import { formatIsoTime, parseIsoTime } from '../../lib/time.js';
import type { BlobStore } from '../blob-store.js';

/** `name`: the bytes of a pack against its name. `chunks`: every chunk in it decoded, too. */
export type CheckLevel = 'name' | 'chunks';

interface Times {
  readonly nameSeconds: number;
  readonly chunksSeconds: number;
}

const LINE = /^([0-9a-f]{64}) (\S+) (\S+)$/;
const DIGEST = /^sha256:([0-9a-f]{64})$/;
const NEVER = '-';

export class CheckTimes {
  readonly #times = new Map<string, Times>();
  readonly #changed = new Set<string>();

  private constructor(
    private readonly store: BlobStore,
    private readonly nowSeconds: () => number,
  ) {}

  /** Of these packs. Errors of the storage. */
  static async load(store: BlobStore, packs: Iterable<string>, nowSeconds: () => number): Promise<CheckTimes> {
    const times = new CheckTimes(store, nowSeconds);
    for (const prefix of new Set([...packs].map(prefixOf))) await times.#read(prefix);
    return times;
  }

  /** 0 where it was never checked so. A check of the chunks is one of the name. A time that lies ahead is none. */
  checkedAtSeconds(pack: string, level: CheckLevel): number {
    const { nameSeconds, chunksSeconds } = this.#times.get(pack) ?? { nameSeconds: 0, chunksSeconds: 0 };
    const atSeconds = level === 'chunks' ? chunksSeconds : Math.max(nameSeconds, chunksSeconds);
    return atSeconds > this.nowSeconds() ? 0 : atSeconds;
  }

  note(pack: string, level: CheckLevel): void {
    const before = this.#times.get(pack) ?? { nameSeconds: 0, chunksSeconds: 0 };
    const nowSeconds = this.nowSeconds();
    const chunksSeconds = level === 'chunks' ? nowSeconds : before.chunksSeconds;
    this.#times.set(pack, { nameSeconds: nowSeconds, chunksSeconds });
    this.#changed.add(prefixOf(pack));
  }

  /** Writes what was noted since, without the packs that are not there any more. */
  async save(): Promise<void> {
    for (const prefix of [...this.#changed]) {
      await this.#read(prefix);
      const entries = (await this.store.list(`packs/${prefix}`)) ?? [];
      const lines = entries.flatMap(({ name }) => {
        const times = this.#times.get(name);
        return times === undefined ? [] : [`${name} ${format(times.nameSeconds)} ${format(times.chunksSeconds)}\n`];
      });
      const text = lines.join('');
      await this.store.replace(nameOf(prefix), Buffer.from(`${text}sha256:${digestOf(text)}\n`, 'ascii'));
      this.#changed.delete(prefix);
    }
  }

  /** Takes over what is newer there. */
  async #read(prefix: string): Promise<void> {
    const text = await this.#text(prefix);
    for (const line of text.split('\n')) {
      const [, pack = '', name = '', chunks = ''] = LINE.exec(line) ?? [];
      if (pack === '') continue;
      const known = this.#times.get(pack) ?? { nameSeconds: 0, chunksSeconds: 0 };
      this.#times.set(pack, {
        nameSeconds: Math.max(known.nameSeconds, parseIsoTime(name) ?? 0),
        chunksSeconds: Math.max(known.chunksSeconds, parseIsoTime(chunks) ?? 0),
      });
    }
  }

  /** The lines of times; empty where there are none that can be believed. */
  async #text(prefix: string): Promise<string> {
    const bytes = await this.store.read(nameOf(prefix), repositoryLimits.checkTimesBytes).catch((error: unknown) => {
      // The only argument that can be unacceptable is the length of what was found.
      if (hasCode(error, 'E_ARGUMENT_INVALID', 'E_STORAGE_IO')) return null;
      throw error;
    });
    const whole = bytes?.toString('latin1') ?? '';
    const end = whole.lastIndexOf('\n', whole.length - 2) + 1;
    const text = whole.slice(0, end);
    return DIGEST.exec(whole.slice(end).trimEnd())?.[1] === digestOf(text) ? text : '';
  }
}

function prefixOf(pack: string): string {
  return pack.slice(0, 2);
}

function nameOf(prefix: string): string {
  return `verified/${prefix}`;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

function format(timeSeconds: number): string {
  return timeSeconds === 0 ? NEVER : formatIsoTime(timeSeconds);
}
