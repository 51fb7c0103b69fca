import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ERRORS, VzvaultError } from '../../../src/lib/errors.js';
import { hintProblems, nativeCodes, pageProblems, unknownCodes, type Table } from './errors.js';
import { readText, sourceFiles } from './tree.js';

const codes = Object.keys(ERRORS);

describe('the error table', () => {
  it('is the same in the native core', () => {
    assert.deepEqual(nativeCodes(readText('native/core/base/status.h')), codes);
  });

  it('is explained in docs/errors.md, code by code', () => {
    assert.deepEqual(pageProblems(readText('docs/errors.md'), ERRORS), []);
  });

  it('holds every code that anything names', () => {
    const files = sourceFiles(/^(?:src|native|perl|docs)\//);
    assert.deepEqual(unknownCodes(files, ERRORS), []);
  });

  it('has hints of one short line', () => {
    assert.deepEqual(hintProblems(ERRORS), []);
  });

  it('gives errors of one line', () => {
    const error = new VzvaultError('E_NO_SPACE', 'writing a pack\n  to /mnt');
    assert.equal(error.line, `writing a pack to /mnt (E_NO_SPACE: ${ERRORS.E_NO_SPACE.hint})`);
  });
});

describe('the checkers of the error table', () => {
  const table: Table = {
    E_ONE: { retryable: true, actor: 'admin', hint: 'mount it' },
    E_TWO: { retryable: false, actor: 'time', hint: 'wait' },
  };
  const text = 'A sentence that says what happened and what can be done.\n\n';
  const rows = '| `E_ONE` | yes | admin |\n| `E_TWO` | no | time |\n';
  const page = `${rows}\n### E_ONE\n\n${text}### E_TWO\n\n${text}`;

  it('read the macro and nothing after it', () => {
    const header = '#define VZV_ERROR_CODES(X) \\\n  X(E_ONE) \\\n  X(E_TWO)\n\nX(E_THREE)\n';
    assert.deepEqual(nativeCodes(header), ['E_ONE', 'E_TWO']);
    assert.deepEqual(nativeCodes('nothing here'), []);
  });

  it('accept a page that says it all', () => {
    assert.deepEqual(pageProblems(page, table), []);
  });

  it('refuse a page with a row or a section missing, strange, wrong or empty', () => {
    assert.deepEqual(pageProblems(page.replace('### E_TWO', '## E_TWO'), table), [
      'the sections are not the codes of the table',
    ]);
    assert.deepEqual(pageProblems(page.replace('| `E_ONE` | yes | admin |\n', ''), table), [
      'the rows are not the codes of the table',
    ]);
    assert.deepEqual(pageProblems(page.replace('no | time', 'yes | time'), table), ['the row of E_TWO is wrong']);
    assert.deepEqual(pageProblems(page.replace(text, 'Bad.\n\n'), table), ['the section of E_ONE says nothing']);
  });

  it('find a code that nobody knows', () => {
    const perl = { path: 'perl/X.pm', text: "die_code('E_ONE'); die_code('E_OOPS'); # E_CODE, EACCES, SOME_E_TWO" };
    assert.deepEqual(unknownCodes([perl], table), ['perl/X.pm names E_OOPS']);
  });

  it('find hints that are not one short line', () => {
    for (const hint of ['', 'two\nlines', 'Capital', 'full stop.', 'long '.repeat(40) + 'end'])
      assert.equal(hintProblems({ E_ONE: { retryable: true, actor: 'admin', hint } }).length, 1, hint);
  });
});
