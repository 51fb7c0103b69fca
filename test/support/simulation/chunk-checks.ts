/** What the engine's chunk store finds out for verifications, in the simulation. */
import type { ChunkStore, Damage, VerifyResult } from '../../../src/engine/types.js';
import { badChunks, decodePack, packPath } from './chunk-files.js';
import type { SimIndex } from './chunk-index.js';
import type { SimDisk } from './directory.js';
import type { SimProcess } from './world.js';

interface Store {
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly index: SimIndex;
}

export async function verifyPacks(
  { disk, process, index }: Store,
  packs: readonly string[],
  withSegments: boolean,
): Promise<VerifyResult> {
  const damages: Damage[] = [];
  for (const pack of packs) {
    const bytes = await process.do(`verify pack ${pack.slice(0, 8)}`, () => disk.get(packPath(pack)));
    if (bytes === null) damages.push({ code: 'E_PACK_MISSING', message: pack });
    else if (decodePack(bytes).isBroken === true) damages.push({ code: 'E_PACK_DAMAGED', message: pack });
    else damages.push(...badChunks(bytes).map((id) => ({ code: 'E_CHUNK_DAMAGED', message: id })));
  }
  if (withSegments) {
    await index.refresh();
    const listed = new Set([...index.segments.values()].flatMap(({ entries }) => entries.map(({ pack }) => pack)));
    const gone = [...listed].filter((pack) => !index.packs.has(pack));
    damages.push(...gone.map((pack) => ({ code: 'E_PACK_MISSING', message: pack })));
  }
  return { packs: packs.length, packBytes: 100 * packs.length, chunks: packs.length, damages };
}

/** Below a root, itself included. */
export async function unreadableBelow(index: SimIndex, rootId: string): ReturnType<ChunkStore['verifyVolume']> {
  const unreadable: string[] = [];
  const walk = async (id: string, level: number): Promise<void> => {
    const chunk = await index.readOrNull(id);
    if (chunk === null) unreadable.push(`${level < 0 ? 'data' : 'map-node'}:${id}`);
    for (const child of new Set(chunk?.children ?? [])) await walk(child, level - 1);
  };
  await index.refresh();
  await walk(rootId, 1);
  const damages = unreadable.map((chunk) => ({ code: 'E_CHUNK_MISSING', message: chunk }));
  return { chunks: 1, damages, unreadable };
}

export async function unreadableOf(index: SimIndex, chunks: readonly string[]): Promise<string[]> {
  const unreadable: string[] = [];
  await index.refresh();
  for (const chunk of chunks) {
    if ((await index.readOrNull(chunk.replace(/^.*:/, ''))) === null) unreadable.push(chunk);
  }
  return unreadable;
}
