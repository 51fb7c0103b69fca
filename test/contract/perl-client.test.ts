/** The Perl client of the plugin against our server, over a real socket: what one side encodes the other understands. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { engine } from '../../src/engine/index.js';
import { abortReason, pause } from '../../src/lib/deadline.js';
import { VzvaultError } from '../../src/lib/errors.js';
import { rpcLimits } from '../../src/lib/limits.js';
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

/** A backup of two disks as the provider calls it; `region` is the body of their `next-dirty-region`. */
function backupVm(region: string): string {
  return `
    require PVE::Vzvault::Incremental;
    my @files = map { open(my $fh, '<', '/dev/null') or die; $fh } 0, 1;
    my %volumes = map {
      my $n = 0;
      ("drive-scsi$_" => {
        size => '1099511627776', 'bitmap-mode' => 'new', 'file-handle' => $files[$_],
        'next-dirty-region' => sub { ${region} },
      });
    } 0, 1;
    my %params = (backupId => 'b', configBase64 => '', firewallBase64 => undef, bandwidthLimitBytesPerSecond => 0);
    call('backup.vm', { %params, disks => PVE::Vzvault::Incremental::disks(100, \\%volumes, sub { }) },
      fds => \\@files,
      handlers => { 'backup.nextDirtyRegions' => PVE::Vzvault::Incremental::region_handler(\\%volumes) });`;
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
      'backup.queryIncremental': async ({ disks, qemuPid }) => {
        seen = disks;
        return { modes: { 'drive-scsi0': qemuPid === null ? 'new' : 'use' } };
      },
      'storage.status': async () => ({ totalBytes: 2 ** 53 - 1, availableBytes: 2 ** 32, usedBytes: 2 ** 31 }),
    });
    const { stdout, stderr } = await perl(
      socketPath,
      `my $disks = { 'drive-scsi0' => { sizeBytes => '${disk.sizeBytes}' } };
       my $modes = call('backup.queryIncremental', { backupId => 'b', qemuPid => undef, disks => $disks })->{modes};
       die if $modes->{'drive-scsi0'} ne 'new';
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

  it('hands over as many descriptors as a VM can have disks, and none is lost', async (test) => {
    const { readSync } = await import('node:fs');
    const seen: string[] = [];
    const socketPath = await serve(test, {
      'daemon.ping': async (_, context) => {
        for (const fd of context.takeFds()) {
          const bytes = Buffer.alloc(16);
          seen.push(bytes.toString('latin1', 0, readSync(fd, bytes)));
          engine.closeFd(fd);
        }
        return { version: '1', pid: 1 };
      },
    });
    const openBefore = readdirSync('/proc/self/fd').length;
    const { stderr } = await perl(
      socketPath,
      `for my $count (17, ${rpcLimits.fds}) {
         my @readers = map { pipe(my $r, my $w) or die "pipe: $!"; print $w "disk $_ of $count"; close($w); $r } 1 .. $count;
         call('daemon.ping', {}, fds => \\@readers);
       }`,
    );
    assert.equal(stderr, '');
    const expected = [17, rpcLimits.fds].flatMap((count) =>
      Array.from({ length: count }, (_, index) => `disk ${index + 1} of ${count}`),
    );
    assert.deepEqual(seen, expected);
    // The pipes to Perl and its connection go a moment after its end.
    await until('they are closed', () => readdirSync('/proc/self/fd').length <= openBefore);
  });

  it('loses its connection over one descriptor more, and we keep none of them', async (test) => {
    const socketPath = await serve(test, {});
    const openBefore = readdirSync('/proc/self/fd').length;
    const { stdout, stderr } = await perl(
      socketPath,
      `use Socket; require Socket::MsgHdr;
       my ($path) = $ENV{VZVAULT_SOCKET} =~ m/(.*)/;
       socket(my $socket, AF_UNIX, SOCK_STREAM, 0);
       connect($socket, pack_sockaddr_un($path)) or die $!;
       my $message = Socket::MsgHdr->new(buf => 'x');
       $message->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack('i*', (fileno($socket)) x ${rpcLimits.fds + 1}));
       Socket::MsgHdr::sendmsg($socket, $message) == 1 or die $!;
       print sysread($socket, my $rest, 1) ? 'answered' : 'closed';`,
    );
    assert.equal(stderr, '');
    assert.equal(stdout, 'closed');
    await until('they are closed', () => readdirSync('/proc/self/fd').length <= openBefore);
  });

  it('tells us dirty regions while we back up, a batch at a time', async (test) => {
    const sums: number[] = [];
    const socketPath = await serve(test, {
      'backup.vm': async ({ disks }, context) => {
        const fds = context.takeFds();
        assert.equal(fds.length, disks.length);
        for (const fd of fds) engine.closeFd(fd);
        for (const { device } of disks) {
          let [sumBytes, endBytes, isDone] = [0, 0, false];
          while (!isDone) {
            const answer = await context.request('backup.nextDirtyRegions', { device });
            isDone = answer.done;
            for (const [offset, length] of answer.regions) {
              assert.ok(offset >= endBytes);
              endBytes = offset + length;
              sumBytes += length;
            }
          }
          sums.push(sumBytes);
        }
        return { addedBytes: 0, readBytes: 0, sizeBytes: 0 };
      },
    });
    const { stderr } = await perl(socketPath, backupVm('return if $n == 10_000; return (8388608 * $n++, 4194304)'));
    assert.equal(stderr, '');
    assert.deepEqual(sums, [10_000 * 4_194_304, 10_000 * 4_194_304]);
  });

  it('dies with what went wrong when it lists dirty regions, which reaches us as E_SOURCE_BITMAP', async (test) => {
    let seen: unknown;
    const socketPath = await serve(test, {
      'backup.vm': async (_, context) => {
        const asked = context.request('backup.nextDirtyRegions', { device: 'drive-scsi0' });
        await asked.catch((error: unknown) => {
          seen = error;
        });
        await asked;
        return { addedBytes: 0, readBytes: 0, sizeBytes: 0 };
      },
    });
    const { stderr } = await perl(socketPath, backupVm('die "unexpected output from nbdinfo - x\\n"'));
    assert.match(
      stderr,
      /^listing the dirty regions of drive-scsi0: unexpected output from nbdinfo - x \(E_SOURCE_BITMAP: /,
    );
    assert.ok(seen instanceof VzvaultError);
    assert.equal(seen.code, 'E_SOURCE_BITMAP');
  });

  it('ends its call when a signal comes while it lists dirty regions', async (test) => {
    let signal: AbortSignal | undefined;
    const socketPath = await serve(test, {
      'backup.vm': async (_, context) => {
        ({ signal } = context);
        await context.request('backup.nextDirtyRegions', { device: 'drive-scsi0' });
        return { addedBytes: 0, readBytes: 0, sizeBytes: 0 };
      },
    });
    const { stderr } = await perl(
      socketPath,
      `$SIG{ALRM} = sub { die "interrupted by signal\\n" };
       pipe(my $never, my $open);
       ${backupVm('alarm(1); return readline($never)')}`,
    );
    assert.equal(stderr, 'interrupted by signal\n');
    await until('the handler is told', () => signal?.aborted === true);
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
