import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { engine } from '../../../src/engine/index.js';
import { rejectsWith } from '../../support/assertions.js';
import { cleanupsOf } from '../../support/temp.js';

describe('the listening socket', () => {
  it('replaces a socket that nobody answers on', async (test) => {
    const cleanups = cleanupsOf(test);
    const path = join(cleanups.directory(), 'socket');
    const first = await engine.listen(path, () => undefined);
    await rejectsWith(
      'E_NAME_TAKEN',
      engine.listen(path, () => undefined),
    );
    await first.close();
    // A daemon that was killed leaves its socket file: bind a name and close without removing it.
    execFileSync('perl', [
      '-MSocket',
      '-e',
      'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(shift)) or die',
      path,
    ]);
    assert.equal(existsSync(path), true);
    const second = await engine.listen(path, () => undefined);
    await second.close();
    assert.equal(existsSync(path), false);
  });

  it('touches nothing that is not a socket, and names what is wrong', async (test) => {
    const directory = cleanupsOf(test).directory();
    const path = join(directory, 'file');
    writeFileSync(path, 'precious');
    await rejectsWith(
      'E_NAME_TAKEN',
      engine.listen(path, () => undefined),
    );
    assert.equal(existsSync(path), true);
    await rejectsWith(
      'E_PATH_MISSING',
      engine.listen(join(directory, 'no/socket'), () => undefined),
    );
    await rejectsWith(
      'E_ARGUMENT_INVALID',
      engine.listen(`/${'x'.repeat(120)}`, () => undefined),
    );
    await rejectsWith(
      'E_ARGUMENT_INVALID',
      engine.listen('relative', () => undefined),
    );
  });

  it('does not remove the socket of a successor', async (test) => {
    const path = join(cleanupsOf(test).directory(), 'socket');
    const first = await engine.listen(path, () => undefined);
    unlinkSync(path);
    const second = await engine.listen(path, () => undefined);
    await first.close();
    assert.equal(existsSync(path), true);
    await second.close();
  });
});
