import { engine } from '../../../src/engine/index.js';
import { describeBlobStore } from '../../support/blob-store-contract.js';
import { MemoryDisk } from '../../support/memory-directory.js';
import { cleanupsOf } from '../../support/temp.js';

describeBlobStore({ name: 'in memory', make: () => new MemoryDisk().makeDirectory('/store').open('/store') });
describeBlobStore({
  name: 'a directory',
  make: (test) => {
    const cleanups = cleanupsOf(test);
    const store = engine.openDirectory(cleanups.directory());
    cleanups.add(() => {
      store.close();
    });
    return store;
  },
});
