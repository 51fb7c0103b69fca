/** RepositoryDirectory over the addon. One handle is one directory with threads of its own; see types.ts for the rules. */
import { awaitNative, callNative } from './addon.js';
import { requireInteger, requirePath, requireText } from './arguments.js';
import type { RepositoryDirectory } from './types.js';

// The longest thing that is read whole is a document of 16 MiB and its seal.
const longestReadBytes = 64 * 1024 * 1024;

/** Opens nothing yet: the directory is opened by the first call, on a thread of the handle, and held until close. */
export function openDirectory(path: string): RepositoryDirectory {
  const handle = callNative((native) => native.directoryOpen(requirePath('path', path)));
  return {
    path,
    read: async (name, maxBytes) =>
      awaitNative(async (native) =>
        native.directoryRead(
          handle,
          requireText('name', name),
          requireInteger('maxBytes', maxBytes, 0, longestReadBytes),
        ),
      ),
    status: async (name) => awaitNative(async (native) => native.directoryStatus(handle, requireText('name', name))),
    list: async (name) => awaitNative(async (native) => native.directoryList(handle, requireText('name', name))),
    makeDirectories: async (name) =>
      awaitNative(async (native) => native.directoryMakeDirectories(handle, requireText('name', name))),
    putIfAbsent: async (name, bytes) =>
      awaitNative(async (native) => native.directoryPutIfAbsent(handle, requireText('name', name), bytes)),
    replace: async (name, bytes) =>
      awaitNative(async (native) => native.directoryReplace(handle, requireText('name', name), bytes)),
    remove: async (name) => awaitNative(async (native) => native.directoryRemove(handle, requireText('name', name))),
    move: async (from, to) =>
      awaitNative(async (native) =>
        native.directoryMove(handle, requireText('name', from), requireText('new name', to)),
      ),
    space: async () => awaitNative(async (native) => native.directorySpace(handle)),
    isMounted: async (mountPoint = path) =>
      awaitNative(async (native) => native.directoryIsMounted(handle, requirePath('mountPoint', mountPoint))),
    noReplace: async () => awaitNative(async (native) => native.directoryNoReplace(handle)),
    close: () => {
      callNative((native) => {
        native.directoryClose(handle);
      });
    },
  };
}
