/** The Perl client of the plugin against our server, over a real socket: what one side encodes the other understands. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { engine } from '../../src/engine/index.js';
import { abortReason, pause } from '../../src/lib/deadline.js';
import { VzvaultError } from '../../src/lib/errors.js';
import { silentLogger } from '../../src/lib/logger.js';
import { RpcServer, type Handlers } from '../../src/rpc/server.js';
import { until } from '../support/processes.js';
import { projectRoot } from '../support/project.js';
import { handlersWith } from '../support/rpc.js';
import { cleanupsOf, type Cleanups } from '../support/temp.js';

async function serve(test: TestContext, handlers: Partial<Handlers>): Promise<string> {
  const cleanups: Cleanups = cleanupsOf(test);
  const socketPath = join(cleanups.directory(), 'socket');
  const logger = silentLogger();
  const options = { engine, socketPath, handlers: handlersWith(handlers), logger, version: '0.1.0' };
  const server = await RpcServer.start(options);
  cleanups.add(async () => server.stop());
  return socketPath;
}

// `call` below is the client's; what it returns is printed as JSON.
const prelude = `
use strict; use warnings; use utf8;
use JSON::PP; use PVE::Vzvault::Client;
sub call { return PVE::Vzvault::Client::call(@_) }
my $storage = { id => 'vault', path => '/mnt/vault', isMountpoint => '' };
my $volume = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';
`;

function perlArguments(script: string): string[] {
  return ['-T', `-I${join(projectRoot, 'perl')}`, '-e', prelude + script];
}

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
}

async function perl(socketPath: string, script: string): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, VZVAULT_SOCKET: socketPath };
    execFile('perl', perlArguments(script), { env, timeout: 20_000 }, (_, stdout, stderr) => {
      resolve({ stdout, stderr });
    });
  });
}

describe('the Perl client', () => {
  it('asks and is answered', async (test) => {
    const socketPath = await serve(test, { 'daemon.ping': async () => ({ version: '0.1.0', pid: 4711 }) });
    const { stdout, stderr } = await perl(socketPath, `print encode_json(call('daemon.ping', {}))`);
    assert.equal(stderr, '');
    assert.deepEqual(JSON.parse(stdout), { version: '0.1.0', pid: 4711 });
  });

  it('carries sizes beyond 32 bits and 10^15 exactly, both ways', async (test) => {
    const disk = { sizeBytes: 2 ** 52 + 1 };
    let seen: unknown;
    const socketPath = await serve(test, {
      'backup.queryIncremental': async ({ disks }) => {
        seen = disks;
        return { modes: { 'drive-scsi0': 'new' } };
      },
      'storage.status': async () => ({ totalBytes: 2 ** 53 - 1, availableBytes: 2 ** 32, usedBytes: 2 ** 31 }),
    });
    const { stdout, stderr } = await perl(
      socketPath,
      `call('backup.queryIncremental', { backupId => 'b', disks => { 'drive-scsi0' => { sizeBytes => '${disk.sizeBytes}' } } });
       my $s = call('storage.status', { storage => $storage });
       print join(' ', @$s{qw(totalBytes availableBytes usedBytes)});`,
    );
    assert.equal(stderr, '');
    assert.deepEqual(seen, { 'drive-scsi0': disk });
    assert.equal(stdout, '9007199254740991 4294967296 2147483648');
  });

  it('carries notes in any script', async (test) => {
    const notes = 'Zürich – café\n日本語 🙂\ttab';
    let seen: string | undefined;
    const socketPath = await serve(test, {
      'storage.setNotes': async (params) => {
        seen = params.notes;
        return {};
      },
    });
    const { stderr } = await perl(
      socketPath,
      `call('storage.setNotes', { storage => $storage, volume => $volume, notes => "Zürich – café\\n日本語 🙂\\ttab" });`,
    );
    assert.equal(stderr, '');
    assert.equal(seen, notes);
  });

  it('prints our log lines in order before the answer', async (test) => {
    const socketPath = await serve(test, {
      'job.end': async (_, context) => {
        context.log('info', 'één');
        context.log('warn', 'two\nlines');
        return {};
      },
    });
    const { stdout } = await perl(
      socketPath,
      `call('job.end', { jobId => 'j' }, log => sub { print "@_\\n" }); print "end\\n"`,
    );
    assert.equal(stdout, 'info één\nwarn two lines\nend\n');
  });

  it('dies with one line that has our code and our hint', async (test) => {
    const socketPath = await serve(test, {
      'job.end': async () => {
        throw new VzvaultError('E_NO_SPACE', 'writing pack x: No space left on device');
      },
    });
    const { stderr } = await perl(socketPath, `call('job.end', { jobId => 'j' })`);
    assert.match(stderr, /^writing pack x: No space left on device \(E_NO_SPACE: [^\n]+\)\n$/);
  });

  it('gives us its descriptors, which work', async (test) => {
    const socketPath = await serve(test, {
      'daemon.ping': async (_, context) => {
        const [readable = -1, writable = -1] = context.takeFds();
        const content: Buffer[] = [];
        for await (const chunk of createReadStream('', { fd: readable })) content.push(chunk as Buffer);
        const { writeSync } = await import('node:fs');
        writeSync(writable, `got ${Buffer.concat(content).toString()}`);
        engine.closeFd(writable);
        return { version: '1', pid: 1 };
      },
    });
    const { stdout, stderr } = await perl(
      socketPath,
      `pipe(my $r1, my $w1); pipe(my $r2, my $w2);
       print $w1 'from perl'; close($w1);
       call('daemon.ping', {}, fds => [$r1, $w2]);
       close($w2); print <$r2>;`,
    );
    assert.equal(stderr, '');
    assert.equal(stdout, 'got from perl');
  });

  it('cancels its call by being killed', async (test) => {
    let signal: AbortSignal | undefined;
    const socketPath = await serve(test, {
      'job.end': async (_, context) => {
        signal = context.signal;
        await pause(60_000, context.signal);
        throw abortReason(context.signal);
      },
    });
    const child = spawn('perl', perlArguments(`call('job.end', { jobId => 'j' })`), {
      env: { ...process.env, VZVAULT_SOCKET: socketPath },
    });
    await until('the call runs', () => signal !== undefined);
    child.kill('SIGKILL');
    await until('the handler is told', () => signal?.aborted === true);
    assert.equal((signal?.reason as VzvaultError).code, 'E_CANCELLED');
  });
});
