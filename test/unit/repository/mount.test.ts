import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { archiveNodes, snapshotNodes, type MountSpec } from '../../../src/repository/mount-spec.js';
import { findMountProgram, startMount, type StartMountOptions } from '../../../src/repository/mount.js';
import { rejectsWith, throwsWith } from '../../support/assertions.js';
import { documentOf, idOf } from '../../support/documents.js';
import { cleanupsOf } from '../../support/temp.js';

const spec: MountSpec = { version: 1, repository: '/r', cacheDirectory: '/c', allowOther: false, nodes: [] };

interface Stage extends StartMountOptions {
  readonly scratch: string;
}

/** A program in the place of vzvault-fuse: a shell script that runs in a directory of its own. */
function stage(t: TestContext, script: string): Stage {
  const scratch = cleanupsOf(t).directory();
  const program = join(scratch, 'vzvault-fuse');
  writeFileSync(program, `#!/bin/sh\ncd '${scratch}'\n${script}\n`);
  chmodSync(program, 0o755);
  mkdirSync(join(scratch, 'mnt'));
  const log = { kind: 'file', path: join(scratch, 'log') } as const;
  return { scratch, program, directory: join(scratch, 'mnt'), spec, log, readyTimeoutMs: 10_000 };
}

const SERVE = 'trap "echo ended > ended; exit 0" TERM\necho ready\nwhile :; do sleep 0.05; done';

describe('starting vzvault-fuse', () => {
  it('hands the spec over on descriptor 3 and the directory as argument', async (t) => {
    const at = stage(t, `echo "$@" > arguments\ncat <&3 > spec\n${SERVE}`);
    const mount = await startMount(at);
    assert.equal(readFileSync(join(at.scratch, 'arguments'), 'utf8'), `--spec-fd 3 ${at.directory}\n`);
    assert.deepEqual(JSON.parse(readFileSync(join(at.scratch, 'spec'), 'utf8')), spec);
    await mount.stop();
  });

  it('hands over a spec that is longer than a pipe holds', async (t) => {
    const at = stage(t, `cat <&3 > spec\n${SERVE}`);
    const nodes = Array.from({ length: 5000 }, (_, n) => ({
      path: `file${n}`,
      contentBase64: 'QUJD',
      modifiedSeconds: n,
    }));
    const mount = await startMount({ ...at, spec: { ...spec, nodes } });
    assert.equal((JSON.parse(readFileSync(join(at.scratch, 'spec'), 'utf8')) as MountSpec).nodes.length, 5000);
    await mount.stop();
  });

  it('ends it with SIGTERM, once', async (t) => {
    const at = stage(t, `cat <&3 > /dev/null\n${SERVE}`);
    const mount = await startMount(at);
    process.kill(mount.pid, 0);
    await mount.stop();
    await mount.stop();
    await mount.ended;
    assert.ok(existsSync(join(at.scratch, 'ended')));
    assert.throws(() => process.kill(mount.pid, 0));
  });

  it('passes on why it could not mount, with its code', async (t) => {
    const at = stage(t, 'cat <&3 > /dev/null\necho "failed E_NO_SPACE: copying segment ab"\nexit 1');
    assert.match((await rejectsWith('E_NO_SPACE', startMount(at))).message, /mounting on .*mnt: copying segment ab$/);
  });

  it('says so where it ends without a word, does not exist, or breaks the pipe', async (t) => {
    const quiet = stage(t, 'exit 7');
    assert.match((await rejectsWith('E_MOUNT_FAILED', startMount(quiet))).message, /ended with code 7/);
    await rejectsWith('E_MOUNT_FAILED', startMount({ ...quiet, program: join(quiet.scratch, 'absent') }));
    const nodes = [{ path: 'x', contentBase64: 'A'.repeat(4_000_000), modifiedSeconds: 0 }];
    await rejectsWith('E_MOUNT_FAILED', startMount({ ...quiet, spec: { ...spec, nodes } }));
  });

  it('ends a program that is not ready in time', async (t) => {
    const at = stage(t, 'echo $$ > pid\nexec sleep 60');
    await rejectsWith('E_MOUNT_FAILED', startMount({ ...at, readyTimeoutMs: 300 }));
    assert.throws(() => process.kill(Number(readFileSync(join(at.scratch, 'pid'), 'utf8')), 0));
  });

  it('gives up where it is stopped before the mount is ready', async (t) => {
    const at = stage(t, 'exec sleep 60');
    const stop = new AbortController();
    setTimeout(() => {
      stop.abort();
    }, 200);
    await rejectsWith('E_CANCELLED', startMount({ ...at, signal: stop.signal }));
    await rejectsWith('E_CANCELLED', startMount({ ...at, signal: AbortSignal.abort() }));
  });

  it('passes log lines on', async (t) => {
    const at = stage(t, `cat <&3 > /dev/null\necho "vzvault-fuse: info: hello" >&2\n${SERVE}`);
    const lines: string[] = [];
    const mount = await startMount({ ...at, log: { kind: 'lines', onLine: (line) => lines.push(line) } });
    await mount.stop();
    await mount.ended;
    assert.deepEqual(lines, ['vzvault-fuse: info: hello']);
  });

  it('finds the program in PATH, or says where it looked', (t) => {
    const at = stage(t, '');
    const found = findMountProgram(`/nonexistent:${at.scratch}`);
    assert.ok(found === at.program || found.endsWith('/bin/vzvault-fuse'));
    if (!found.endsWith('/bin/vzvault-fuse')) throwsWith('E_MOUNT_FAILED', () => findMountProgram('/nonexistent'));
  });
});

describe('what a mount shows of a snapshot', () => {
  it('is a file NAME.raw for each disk and the configurations as they are', () => {
    const nodes = snapshotNodes(documentOf(idOf(100)), 'qemu/100/x/');
    assert.deepEqual(
      nodes.map((node) => node.path),
      ['qemu/100/x/drive-scsi0.raw', 'qemu/100/x/drive-efidisk0.raw', 'qemu/100/x/guest.conf'],
    );
    assert.deepEqual(nodes[0]?.volume, { sizeBytes: 1000, chunkSizeBytes: 524288, levels: 1, rootId: 'a'.repeat(64) });
    assert.equal(Buffer.from(nodes[2]?.contentBase64 ?? '', 'base64').toString(), 'memory: 512\nname: büro\n');
    assert.equal(nodes[2]?.modifiedSeconds, idOf(100).timeSeconds);
  });

  it('is a tar file and a directory for each archive', () => {
    const stream = (sizeBytes: number): { sizeBytes: number; levels: number; rootId: string } => ({
      sizeBytes,
      levels: 1,
      rootId: 'b'.repeat(64),
    });
    const streams = { data: stream(7), catalogue: stream(9) };
    assert.deepEqual(archiveNodes({ name: 'root', ...streams }, 60, 'lxc/101/x/'), [
      { path: 'lxc/101/x/root.tar', archiveTar: streams, modifiedSeconds: 60 },
      { path: 'lxc/101/x/root', archiveTree: streams, modifiedSeconds: 60 },
    ]);
  });
});
