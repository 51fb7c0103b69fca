/** A mount whose server is stopped: whoever touches it waits, nobody else does, and the process still ends. Needs root and FUSE. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { engine } from '../../../src/engine/index.js';
import { pause, withDeadline } from '../../../src/lib/deadline.js';
import { rejectsWith } from '../../support/assertions.js';
import { freeze, startProgram, until } from '../../support/processes.js';
import { cleanupsOf } from '../../support/temp.js';

interface Mount {
  readonly path: string;
  readonly healthy: string;
  /** Whoever calls afterwards waits. */
  stop(): Promise<void>;
  go(): void;
}

async function mountThatCanHang(test: TestContext): Promise<Mount> {
  const cleanups = cleanupsOf(test);
  const directory = cleanups.directory();
  const [source, path, healthy] = ['source', 'mount', 'healthy'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const name of [source, path, healthy]) mkdirSync(name);
  // Nothing is cached, so that every call asks the server.
  const options = ['-f', '--no-allow-other', '-o', 'attr_timeout=0,entry_timeout=0,negative_timeout=0'];
  const bindfs = startProgram(cleanups, 'bindfs', [...options, source, path]);
  const probe = engine.openDirectory('/');
  await until('bindfs is mounted', async () => probe.isMounted(path));
  probe.close();
  cleanups.add(() => {
    bindfs.child.kill('SIGCONT');
    execFileSync('umount', ['-l', path]);
  });
  return {
    path,
    healthy,
    stop: () => freeze(bindfs.pid),
    go: () => void bindfs.child.kill('SIGCONT'),
  };
}

describe('a mount that hangs', () => {
  it('stalls only the directory on it, and recovers', async (test) => {
    const mount = await mountThatCanHang(test);
    const hung = engine.openDirectory(mount.path);
    const healthy = engine.openDirectory(mount.healthy);
    await hung.putIfAbsent('file', Buffer.from('x'));
    await mount.stop();
    const calls = Array.from({ length: 8 }, async () => hung.read('file', 10));
    await rejectsWith('E_STORAGE_TIMEOUT', withDeadline(hung.space(), 200, 'E_STORAGE_TIMEOUT', 'asking for space'));
    const begunMs = performance.now();
    for (let i = 0; i < 20; i += 1) await healthy.replace('file', Buffer.from(`${i}`));
    assert.ok(performance.now() - begunMs < 5_000);
    mount.go();
    for (const content of await Promise.all(calls)) assert.equal(content?.toString(), 'x');
    hung.close();
    healthy.close();
  });

  it('makes further calls fail at once when too many wait', async (test) => {
    const mount = await mountThatCanHang(test);
    const hung = engine.openDirectory(mount.path);
    await hung.putIfAbsent('file', Buffer.from('x'));
    await mount.stop();
    const settled: unknown[] = [];
    const calls = Array.from({ length: 400 }, async () => hung.read('file', 10));
    for (const call of calls)
      call.then(
        (content) => settled.push(content),
        (error: unknown) => settled.push(error),
      );
    await pause(100);
    assert.equal(settled.length, 400 - 4 - 256);
    assert.deepEqual([...new Set(settled.map((error) => (error as { code?: string }).code))], ['E_STORAGE_TIMEOUT']);
    mount.go();
    await Promise.allSettled(calls);
    hung.close();
  });

  // Both ways out of a process: asked for, and because nothing is left to do but what hangs.
  const ways: [string, string][] = [
    ['process.exit', 'process.exit(7)'],
    [
      'a signal handler that exits',
      "process.on('SIGTERM', () => process.exit(7)); process.kill(process.pid, 'SIGTERM')",
    ],
    ['an uncaught exception', "process.on('uncaughtException', () => process.exit(7)); throw new Error('x')"],
  ];
  for (const [way, code] of ways) {
    it(`does not keep a process from ending by ${way}`, async (test) => {
      const mount = await mountThatCanHang(test);
      const index = join(import.meta.dirname, '../../../src/engine/index.js');
      const script = `
        import { engine } from ${JSON.stringify(index)};
        import { writeSync } from 'node:fs';
        const directory = engine.openDirectory(${JSON.stringify(mount.path)});
        await directory.putIfAbsent('file', Buffer.from('x'));
        writeSync(1, 'ready');
        await new Promise((resolve) => process.stdin.once('data', resolve));
        for (let i = 0; i < 20; i += 1) void directory.read('file', 10);
        void engine.openStore({ path: ${JSON.stringify(mount.path)}, cacheDirectory: ${JSON.stringify(mount.healthy)} });
        setTimeout(() => { ${code} }, 200);`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await mount.stop();
      const ended = new Promise((resolve) =>
        child.once('exit', (...how) => {
          resolve(how);
        }),
      );
      child.stdin.write('go');
      assert.deepEqual(await withDeadline(ended, 5_000, 'E_DEADLINE', 'the process'), [7, null]);
    });
  }

  it('lets a stopped job go although its thread hangs', async (test) => {
    const mount = await mountThatCanHang(test);
    for (const name of ['packs', 'index', 'tmp']) mkdirSync(join(mount.path, name));
    const store = await engine.openStore({ path: mount.path, cacheDirectory: mount.healthy });
    await mount.stop();
    const controller = new AbortController();
    const job = store.verifyPacks({ decode: false }, { signal: controller.signal });
    setTimeout(() => {
      controller.abort();
    }, 100);
    const begunMs = performance.now();
    await rejectsWith('E_CANCELLED', job);
    assert.ok(performance.now() - begunMs < 4_000);
    mount.go();
    await store.close();
  });
});
