import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { projectRoot } from '../../support/project.js';
import { cleanupsOf } from '../../support/temp.js';

const tap = `TAP version 13
# Subtest: a suite
    # Subtest: fails
    not ok 1 - fails
      ---
      location: '${projectRoot}/build/js/test/unit/some.test.js:3:5'
      failureType: 'testCodeFailure'
      error: |-
        one
        two
        three
        four
      code: 'ERR_ASSERTION'
      stack: |-
        not ok (file:///some.test.js:3:66)
      ...
    # Subtest: passes
    ok 2 - passes
      ---
      duration_ms: 1
      ...
    1..2
not ok 1 - a suite
  ---
  location: '${projectRoot}/build/js/test/unit/some.test.js:1:1'
  failureType: 'subtestsFailed'
  error: '1 subtest failed'
  ...
# Subtest: hangs
not ok 2 - hangs
  ---
  location: '${projectRoot}/build/js/test/unit/some.test.js:9:1'
  failureType: 'testTimeoutFailure'
  error: 'test timed out after 100ms'
  ...
1..2
`;

function failedTests(test: TestContext, ...texts: readonly string[]): string {
  const directory = cleanupsOf(test).directory();
  const files = texts.map((text, number) => {
    const path = join(directory, `${number}.tap`);
    writeFileSync(path, text);
    return path;
  });
  return execFileSync(join(projectRoot, 'tools/failed-tests'), files, { encoding: 'utf8' });
}

const failed = `  test/unit/some.test.js:3:5 fails
    one
    two
    three
  test/unit/some.test.js:9:1 hangs
    test timed out after 100ms
`;

describe('tools/failed-tests', () => {
  it('says place, name and error of each test that failed, not of the suite around it', (test) => {
    assert.equal(failedTests(test, tap), failed);
  });

  it('says what a runner wrote before it was ended', (test) => {
    const cut = tap.slice(0, tap.indexOf("  error: 'test timed out"));
    const begun = failed.slice(0, failed.indexOf('    test timed out'));
    assert.equal(failedTests(test, cut, tap), begun + failed);
  });

  it('says nothing where all passed', (test) => {
    assert.equal(failedTests(test, 'TAP version 13\nok 1 - passes\n1..1\n'), '');
  });
});
