import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addonLoaders, importCycles, importsOf, nativeIncludes, upwardImports } from './layering.js';
import { sourceFiles } from './tree.js';

const src = sourceFiles(/\.ts$/, 'src');
const native = sourceFiles(/\.(?:cc|h)$/, 'native');

describe('the layers of src/', () => {
  it('are there to be checked', () => {
    assert.ok(src.some((file) => file.path === 'src/lib/errors.ts'));
  });

  it('import downwards only', () => {
    assert.deepEqual(upwardImports(src), []);
  });

  it('import in no circle', () => {
    assert.deepEqual(importCycles(src), []);
  });

  it('leave loading the addon to src/engine', () => {
    assert.deepEqual(addonLoaders(src), []);
  });
});

describe('the layers of native/', () => {
  it('are there to be checked', () => {
    assert.ok(native.some((file) => file.path === 'native/core/base/status.h'));
  });

  it('include downwards only, Node-API in addon and FUSE in fuse', () => {
    assert.deepEqual(nativeIncludes(native), []);
  });
});

describe('the checker of imports', () => {
  it('sees static, type-only, re-exporting and dynamic imports', () => {
    const text = [
      "import { a } from './a.js';",
      "import type { B } from '../rpc/b.js';",
      "export * from './c.js';",
      "const d = await import('./d.js');",
      "import fs from 'node:fs';",
    ].join('\n');
    assert.deepEqual(importsOf({ path: 'src/provider/x.ts', text }), [
      'src/provider/a.ts',
      'src/rpc/b.ts',
      'src/provider/c.ts',
      'src/provider/d.ts',
    ]);
  });

  it('refuses an import upwards, sideways, out of src, and a file in no layer', () => {
    const problems = upwardImports([
      { path: 'src/lib/x.ts', text: "import type { A } from '../engine/a.js';" },
      { path: 'src/provider/x.ts', text: "import '../storage/a.js'; import '../lib/b.js'; import './c.js';" },
      { path: 'src/cli.ts', text: "import './daemon.js'; import './commands/init.js'; import '../test/x.js';" },
      { path: 'src/util/x.ts', text: '' },
    ]);
    assert.deepEqual(problems, [
      'src/lib/x.ts imports src/engine/a.ts',
      'src/provider/x.ts imports src/storage/a.ts',
      'src/cli.ts imports src/daemon.ts',
      'src/cli.ts imports test/x.ts, which is not in src/',
      'src/util/x.ts stands in no layer',
    ]);
  });

  it('finds a circle', () => {
    const problems = importCycles([
      { path: 'src/lib/a.ts', text: "import './b.js'; import './d.js';" },
      { path: 'src/lib/b.ts', text: "import './c.js';" },
      { path: 'src/lib/c.ts', text: "import './a.js'; import './d.js';" },
      { path: 'src/lib/d.ts', text: '' },
    ]);
    assert.deepEqual(problems, ['src/lib/a.ts → src/lib/b.ts → src/lib/c.ts → src/lib/a.ts']);
  });

  it('finds an addon loaded outside of src/engine', () => {
    const text = "createRequire(import.meta.url)('./vzvault.node');";
    assert.deepEqual(addonLoaders([{ path: 'src/repository/x.ts', text }]), ['src/repository/x.ts loads an addon']);
    assert.deepEqual(addonLoaders([{ path: 'src/engine/x.ts', text }]), []);
  });

  it('refuses Node-API and FUSE in the core, and a core that reaches upwards', () => {
    const problems = nativeIncludes([
      { path: 'native/core/store/a.cc', text: '#include <napi.h>\n#include <fuse3/fuse_lowlevel.h>\n' },
      { path: 'native/core/base/b.h', text: '#include "core/chunk/hash.h"\n#include <vector>\n' },
      { path: 'native/core/store/c.h', text: '#include "core/chunk/hash.h"\n#include "addon/handle.h"\n' },
      { path: 'native/addon/d.cc', text: '#include <napi.h>\n#include "core/pipeline/job.h"\n' },
      { path: 'native/test/e.cc', text: '  #  include "fuse.h"\n' },
    ]);
    assert.deepEqual(problems, [
      'native/core/store/a.cc includes napi.h',
      'native/core/store/a.cc includes fuse3/fuse_lowlevel.h',
      'native/core/base/b.h includes core/chunk/hash.h',
      'native/core/store/c.h includes addon/handle.h',
      'native/test/e.cc includes fuse.h',
    ]);
  });
});
