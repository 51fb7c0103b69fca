/** The real chunk store of the addon in an empty repository of its own, gone when the test is. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { engine, type ChunkStore } from '../../src/engine/index.js';
import { cleanupsOf } from './temp.js';

export interface OpenedStore {
  /** For files of the test; the repository lies in it. */
  readonly directory: string;
  readonly repository: string;
  readonly store: ChunkStore;
}

export async function openStore(test: TestContext): Promise<OpenedStore> {
  const cleanups = cleanupsOf(test);
  const directory = cleanups.directory();
  const repository = join(directory, 'vzvault');
  for (const name of ['packs', 'index', 'tmp']) mkdirSync(join(repository, name), { recursive: true });
  const store = await engine.openStore({ path: repository, cacheDirectory: join(directory, 'cache') });
  cleanups.add(async () => store.close());
  return { directory, repository, store };
}
