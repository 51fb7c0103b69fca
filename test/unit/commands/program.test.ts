import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CommandLine } from '../../support/command-line.js';
import { STORE, ERROR_LINE, setUp } from '../../support/command-world.js';

describe('the command line as a whole', () => {
  it('answers 2 and one line to wrong usage', async () => {
    const cli = new CommandLine();
    for (const args of [
      ['lst'],
      ['list'],
      ['list', 'a', 'b'],
      ['list', 'a', '--frob'],
      ['mount', 'a'],
      ['mount', 'a', 'b', 'c', 'd'],
    ]) {
      const { code, err, out } = await cli.run(...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, ERROR_LINE);
      assert.equal(out, '');
    }
    assert.equal((await cli.run()).code, 2);
  });

  it('prints its version', async () => {
    assert.deepEqual(await new CommandLine().run('--version'), { code: 0, out: '0.1.0\n', err: '' });
  });

  it('answers 1 and one line to errors of any kind', async (t) => {
    const { cli } = await setUp(t);
    cli.engine.disk.fault = () => {
      throw new Error('a defect\nin two lines');
    };
    const { code, err } = await cli.run('list', STORE);
    assert.equal(code, 1);
    assert.match(err, /^vzvault: a defect in two lines \(E_INTERNAL: .*\)\n$/);
  });

  it('can be interrupted while a mount hangs', async (t) => {
    const { cli } = await setUp(t);
    cli.engine.disk.fault = () => new Promise(() => undefined);
    setTimeout(() => {
      cli.interrupt();
    }, 50);
    assert.equal((await cli.run('list', STORE)).code, 130);
  });
});
