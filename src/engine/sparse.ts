/** Sparse-file and copy calls on descriptors over the addon. Each runs on a thread of its own, on a duplicate of the descriptor. */
import { awaitNative } from './addon.js';
import { requireInteger, requirePath } from './arguments.js';
import type { SparseFiles } from './types.js';

const highestFd = 0x7fff_ffff;

function requireFd(fd: number): number {
  return requireInteger('descriptor', fd, 0, highestFd);
}

function requireRange(offset: number, length: number): [number, number] {
  requireInteger('offset', offset, 0);
  requireInteger('length', length, 0, Number.MAX_SAFE_INTEGER - offset);
  return [offset, length];
}

export const sparse: SparseFiles = {
  deallocate: async (fd, offset, length) =>
    awaitNative(async (native) => native.sparseDeallocate(requireFd(fd), ...requireRange(offset, length))),
  allocate: async (fd, offset, length) =>
    awaitNative(async (native) => native.sparseAllocate(requireFd(fd), ...requireRange(offset, length))),
  copyRange: async (from, fromOffset, to, toOffset, length) => {
    requireRange(toOffset, length);
    return awaitNative(async (native) =>
      native.sparseCopyRange(requireFd(from), requireRange(fromOffset, length)[0], requireFd(to), toOffset, length),
    );
  },
  clone: async (from, to) => awaitNative(async (native) => native.sparseClone(requireFd(from), requireFd(to))),
  copyFile: async (fromPath, toPath) =>
    awaitNative(async (native) =>
      native.sparseCopyFile(requirePath('fromPath', fromPath), requirePath('toPath', toPath)),
    ),
};
