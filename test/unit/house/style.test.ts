import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { badName, fileTooLong, machinePath, noOpening, notTainted, switchedOff, unfinished } from './style.js';
import { sourceFiles } from './tree.js';

const all = sourceFiles();
// The bad samples below are the only ones in the house.
const files = all.filter((file) => file.path !== 'test/unit/house/style.test.ts');

describe('every file of the house', () => {
  it('is there to be checked', () => {
    const paths = files.map((file) => file.path);
    for (const path of ['Makefile', '.ci/run', 'tools/run-tests', 'src/lib/errors.ts', 'native/core/base/status.h'])
      assert.ok(paths.includes(path), path);
  });

  it('is short enough to be read', () => {
    assert.deepEqual(files.flatMap(fileTooLong), []);
  });

  it('is named like the others of its language', () => {
    assert.deepEqual(files.flatMap(badName), []);
  });

  it('is finished', () => {
    assert.deepEqual(files.flatMap(unfinished), []);
  });

  it('switches no test off', () => {
    assert.deepEqual(files.flatMap(switchedOff), []);
  });

  it('names no path of one machine', () => {
    assert.deepEqual(files.flatMap(machinePath), []);
  });

  it('runs under the taint switch, where it is a Perl test', () => {
    assert.deepEqual(files.flatMap(notTainted), []);
  });

  it('opens with what it is for, where it is a module', () => {
    assert.deepEqual(
      files.flatMap((file) => noOpening(file, files)),
      [],
    );
  });
});

describe('the checkers of style', () => {
  const file = (path: string, text = ''): { path: string; text: string } => ({ path, text });

  it('refuse a file of 401 lines and accept one of 400', () => {
    assert.equal(fileTooLong(file('src/lib/a.ts', 'x\n'.repeat(401))).length, 1);
    assert.equal(fileTooLong(file('src/lib/a.ts', 'x\n'.repeat(400))).length, 0);
    assert.equal(fileTooLong(file('docs/format.md', 'x\n'.repeat(401))).length, 0);
  });

  it('refuse camelCase, snake_case in TypeScript and kebab-case in C++', () => {
    for (const path of ['src/lib/fooBar.ts', 'src/lib/foo_bar.ts', 'native/core/base/foo-bar.h', 'native/Foo.cc'])
      assert.equal(badName(file(path)).length, 1, path);
    for (const path of ['src/lib/foo-bar.ts', 'test/x/foo-bar.test.ts', 'native/core/base/foo_bar.cc', 'README.md'])
      assert.equal(badName(file(path)).length, 0, path);
  });

  it('find marks of unfinished work', () => {
    assert.deepEqual(unfinished(file('a.ts', 'fine\n// TODO: more\n')), ['a.ts:2 is unfinished']);
    assert.deepEqual(unfinished(file('a.ts', 'mkdtemp("vzvault-XXXXXX") // autodo\n')), []);
  });

  it('find tests that are switched off', () => {
    for (const text of [
      "it.skip('x')",
      "describe.only('x')",
      "it('x', { skip: true })",
      '* doctest::skip(true)',
      'plan skip_all => 1',
    ])
      assert.equal(switchedOff(file('test/unit/a.test.ts', text)).length, 1, text);
    assert.equal(switchedOff(file('src/lib/a.ts', 'skip: true')).length, 0);
  });

  it('find paths of one machine', () => {
    for (const text of ['in /src/x', 'at /build/vzvault/x'])
      assert.equal(machinePath(file('a.ts', text)).length, 1, text);
    for (const text of [
      'build/js/src/cli.js',
      '/mnt/backup',
      '/home/a/.cache',
      'https://example.org/src/x',
      '"$here/../src/"',
    ])
      assert.equal(machinePath(file('a.ts', text)).length, 0, text);
  });

  it('find Perl tests without the taint switch', () => {
    assert.equal(notTainted(file('test/perl/a.t', '#!/usr/bin/perl\nuse strict;\n')).length, 1);
    assert.equal(notTainted(file('test/perl/a.t', '#!/usr/bin/perl -wT\nuse strict;\n')).length, 0);
  });

  it('find modules that do not say what they are for', () => {
    const header = file('native/core/base/a.h', '// What it is.\n');
    assert.equal(noOpening(file('src/lib/a.ts', 'export {};\n'), []).length, 1);
    assert.equal(noOpening(file('src/cli.ts', '#!/usr/bin/env node\n/** What it is. */\n'), []).length, 0);
    assert.equal(noOpening(file('native/core/base/a.cc', '#include "core/base/a.h"\n'), []).length, 1);
    assert.equal(noOpening(file('native/core/base/a.cc', '#include "core/base/a.h"\n'), [header]).length, 0);
    assert.equal(noOpening(file('native/test/a.cc', '#include <x>\n'), []).length, 0);
  });
});
