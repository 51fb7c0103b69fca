/** What upstream QEMU has no command for: setting a bitmap, and keeping one beyond the life of its QEMU. */
import { join } from 'node:path';
import { run } from './model-run.js';
import type { ModelVm } from './model-vm.js';

/** As PVE's QEMU makes them: the largest chunk of its own backup server. */
export const granuleBytes = 4 * 1024 * 1024;

const writeBytes = 1024 * 1024 * 1024;
const all = 'all';

/** A node of that size with a bitmap `all` that is dirty everywhere; one for each size and life of the VM. */
async function allDirty(vm: ModelVm, sizeBytes: number): Promise<string> {
  const { scratches } = vm.life;
  const known = scratches.get(sizeBytes);
  if (known !== undefined) return known;
  const node = vm.fresh('scratch');
  // A file of nothing but holes: punching one more costs nothing, whatever the size.
  const path = join(vm.directory, `${node}.raw`);
  await run('truncate', '-s', String(sizeBytes), path);
  await vm.qmp.execute('blockdev-add', {
    ...{ driver: 'raw', 'node-name': node, discard: 'unmap' },
    file: { driver: 'file', filename: path, discard: 'unmap', locking: 'off' },
  });
  await vm.qmp.execute('block-dirty-bitmap-add', { node, name: all, granularity: granuleBytes });
  await vm.qmp.execute('block-export-add', { type: 'nbd', id: node, 'node-name': node, name: node, writable: true });
  const commands = [];
  for (let offset = 0; offset < sizeBytes; offset += writeBytes) {
    commands.push('-c', `write -z -u ${offset} ${Math.min(writeBytes, sizeBytes - offset)}`);
  }
  await run('qemu-io', '-f', 'raw', ...commands, `nbd+unix:///${node}?socket=${vm.life.nbdPath}`);
  await vm.qmp.deleteExport(node);
  scratches.set(sizeBytes, node);
  return node;
}

/** What QEMU counts as dirty: whole granules. Null where the disk has no such bitmap. */
export async function dirtyBytesOf(vm: ModelVm, device: string, name: string): Promise<number | null> {
  interface Node {
    readonly 'node-name': string;
    readonly 'dirty-bitmaps'?: readonly { readonly name?: string; readonly count: number }[];
  }
  const nodes = await vm.qmp.execute<Node[]>('query-named-block-nodes', { flat: true });
  const node = nodes.find((candidate) => candidate['node-name'] === vm.formatNode(device));
  return node?.['dirty-bitmaps']?.find((bitmap) => bitmap.name === name)?.count ?? null;
}

/** Adds a bitmap that is dirty everywhere. */
export async function addDirtyBitmap(vm: ModelVm, node: string, name: string, sizeBytes: number): Promise<void> {
  await vm.qmp.execute('block-dirty-bitmap-add', { node, name, granularity: granuleBytes });
  await vm.qmp.execute('block-dirty-bitmap-merge', {
    ...{ node, target: name, bitmaps: [{ node: await allDirty(vm, sizeBytes), name: all }] },
  });
}

/** A bitmap as it was at one moment, in an image of its own, as the state of a VM's memory keeps it. */
export class KeptBitmap {
  private constructor(
    private readonly path: string,
    private readonly device: string,
    private readonly name: string,
  ) {}

  /** Null where the disk has no such bitmap. */
  static async of(vm: ModelVm, device: string, name: string): Promise<KeptBitmap | null> {
    if ((await dirtyBytesOf(vm, device, name)) === null) return null;
    const path = join(vm.directory, `${vm.fresh('bitmap')}.qcow2`);
    await run('qemu-img', 'create', '-q', '-f', 'qcow2', path, String(vm.disk(device).sizeBytes));
    const node = await openKeeper(vm, path);
    const bitmap = { node, name: 'kept', granularity: granuleBytes, persistent: true };
    await vm.qmp.execute('block-dirty-bitmap-add', bitmap);
    await mergeInto(vm, node, 'kept', { node: vm.formatNode(device), name });
    await vm.qmp.execute('blockdev-del', { 'node-name': node });
    return new KeptBitmap(path, device, name);
  }

  /** Into a VM whose disk has none of that name. */
  async bringBack(vm: ModelVm): Promise<void> {
    const keeper = await openKeeper(vm, this.path);
    const node = vm.formatNode(this.device);
    await vm.qmp.execute('block-dirty-bitmap-add', { node, name: this.name, granularity: granuleBytes });
    await mergeInto(vm, node, this.name, { node: keeper, name: 'kept' });
    await vm.qmp.execute('blockdev-del', { 'node-name': keeper });
  }
}

async function openKeeper(vm: ModelVm, path: string): Promise<string> {
  const node = vm.fresh('keeper');
  await vm.qmp.execute('blockdev-add', {
    ...{ driver: 'qcow2', 'node-name': node, file: { driver: 'file', filename: path, locking: 'off' } },
  });
  return node;
}

async function mergeInto(
  vm: ModelVm,
  node: string,
  target: string,
  from: { readonly node: string; readonly name: string },
): Promise<void> {
  await vm.qmp.execute('block-dirty-bitmap-merge', { node, target, bitmaps: [from] });
}
