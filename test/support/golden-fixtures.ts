/** The golden repositories of format 1 in test/fixtures: where they lie, what is in them, and how they are read. */
import { chmodSync, copyFileSync, cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Opener } from './format-keys.js';
import { readRepository, type RepositoryContents } from './format-reader.js';
import type { GoldenRepository } from './golden-disks.js';
import { projectRoot } from './project.js';
import { Station } from './vzvault.js';

const KEY_FILE = 'node.key';

export interface GoldenFixture {
  readonly title: string;
  /** The repository's own directory. */
  readonly repository: string;
  readonly expected: GoldenRepository;
  /** By its key document; null where it is not encrypted. */
  readonly opener: Opener | null;
  /** With nothing but the page; `copy` is a copy of it. */
  read(copy?: string): RepositoryContents;
  /** A copy for the program, and the options with which it opens that. */
  station(test: TestContext): { readonly station: Station; readonly key: readonly string[] };
}

function golden(title: string, directory: string): GoldenFixture {
  const path = join(projectRoot, 'test/fixtures', directory);
  const repository = join(path, 'vzvault');
  const expected = JSON.parse(readFileSync(join(path, 'expected.json'), 'utf8')) as GoldenRepository;
  const { encryption } = expected;
  const opener: Opener | null =
    encryption === undefined ? null : { kind: 'key', key: Buffer.from(encryption.key, 'hex') };
  return {
    ...{ title, repository, expected, opener },
    read: (copy = repository) => readRepository(copy, opener),
    station: (test) => {
      const station = Station.empty(test);
      cpSync(repository, join(station.store, 'vzvault'), { recursive: true });
      if (opener === null) return { station, key: [] };
      const key = station.path(KEY_FILE);
      copyFileSync(join(path, KEY_FILE), key);
      // Git keeps no modes, and a key that others can read is refused.
      chmodSync(key, 0o600);
      return { station, key: ['--key-file', key] };
    },
  };
}

export const goldenRepository = golden('the golden repository of format 1', 'format-1');
export const encryptedGoldenRepository = golden('the encrypted golden repository of format 1', 'format-1-encrypted');
export const goldenRepositories = [goldenRepository, encryptedGoldenRepository];
