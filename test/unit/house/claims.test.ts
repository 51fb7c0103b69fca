import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { claimsOf, unclaimed, unproven } from './claims.js';
import { readText, sourceFiles, type SourceFile } from './tree.js';

const tests = sourceFiles(/^(?:native\/)?test\/.*(?:\.test\.ts|_test\.cc|\.t)$/);
const threats: SourceFile = { path: 'docs/threats.md', text: readText('docs/threats.md') };

describe('what the pages claim', () => {
  it('is tested where they say', () => {
    const pages = sourceFiles(/\.md$/);
    assert.ok(pages.length > 10);
    assert.deepEqual(
      pages.flatMap((page) => unproven(page, tests)),
      [],
    );
  });

  it('is tested, row by row, where it is about threats', () => {
    assert.ok(claimsOf(threats).length > 30);
    assert.deepEqual(unclaimed(threats), []);
  });
});

describe('the checkers of claims', () => {
  const page = (text: string): SourceFile => ({ path: 'docs/a.md', text });
  const house: SourceFile[] = [
    { path: 'native/test/store/pack_test.cc', text: 'TEST_CASE("refuses a pack that was cut") {}' },
    { path: 'native/test/encryption/pack_test.cc', text: '' },
    { path: 'test/unit/a.test.ts', text: "it('says (twice) what is wrong', () => {});" },
  ];

  it('read files and the titles behind them', () => {
    const text = 'A "quote", `a.test.ts` "one", "two"; `code` "three"\nand `x/b.t`, "four"';
    assert.deepEqual(claimsOf(page(text)), [
      { line: 1, file: 'a.test.ts', titles: ['one', 'two'] },
      { line: 2, file: 'x/b.t', titles: ['four'] },
    ]);
  });

  it('accept titles that are there, in whole or in part', () => {
    const text = '`store/pack_test.cc` "refuses a pack that was cut", "refuses … cut"; `a.test.ts` "says (twice) …"';
    assert.deepEqual(unproven(page(text), house), []);
  });

  it('find files that are not there or are several, and titles that are in none', () => {
    assert.deepEqual(unproven(page('`absent.test.ts`'), house), [
      'docs/a.md:1 names absent.test.ts: there are 0 such tests',
    ]);
    assert.deepEqual(unproven(page('`pack_test.cc`'), house), [
      'docs/a.md:1 names pack_test.cc: there are 2 such tests',
    ]);
    assert.deepEqual(unproven(page('`a.test.ts` "says … right"'), house), [
      'docs/a.md:1: test/unit/a.test.ts has no "says … right"',
    ]);
  });

  it('find rows without a test', () => {
    const table =
      '| | test |\n|---|---|\n| cannot | `a.test.ts` |\n| **can** do it | nothing |\n| cannot | as above |\n';
    assert.deepEqual(unclaimed(page(table)), []);
    assert.deepEqual(unclaimed(page(`${table}| cannot | believe it |\n\n| no | table |`)), [
      'docs/a.md:6 names no test',
    ]);
  });
});
