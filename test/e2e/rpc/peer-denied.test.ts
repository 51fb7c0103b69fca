/** A peer of another user, which the socket's mode alone would keep out. Needs root. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { engine } from '../../../src/engine/index.js';
import { silentLogger } from '../../../src/lib/logger.js';
import { decodeBody } from '../../../src/rpc/codec.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { until } from '../../support/processes.js';
import { codeOf, handlersWith } from '../../support/rpc.js';
import { cleanupsOf } from '../../support/temp.js';

const nobody = 65_534;

/** Connects, says hello, and prints all that it is told; as another user. */
async function connectAs(
  uid: number,
  socketPath: string,
): Promise<{ code: number | null; output: Buffer; errors: string }> {
  const script = `
    use Socket; $SIG{PIPE} = 'IGNORE';
    socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, pack_sockaddr_un(shift)) or die "connect: $!\\n";
    select(undef, undef, undef, 0.2);
    syswrite($s, "\\0\\0\\0\\1\\x80");
    while (sysread($s, my $bytes, 65536)) { syswrite(STDOUT, $bytes) }`;
  const child = spawn('/usr/bin/perl', ['-e', script, socketPath], { uid, gid: uid, cwd: '/', env: {} });
  const chunks: Buffer[] = [];
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output: Buffer.concat(chunks), errors };
}

describe('a peer of another user', () => {
  it('cannot connect, and where it can is told E_PEER_DENIED and closed unheard', async (test) => {
    const cleanups = cleanupsOf(test);
    const socketPath = join(cleanups.directory(), 'socket');
    const logger = silentLogger();
    const server = await RpcServer.start({ engine, socketPath, handlers: handlersWith({}), logger, version: '0.1.0' });
    cleanups.add(async () => server.stop());
    chmodSync(dirname(socketPath), 0o755);

    const kept = await connectAs(nobody, socketPath);
    assert.match(kept.errors, /^connect: Permission denied/);

    chmodSync(socketPath, 0o666);
    const { output } = await connectAs(nobody, socketPath);
    const answer = decodeBody(output.subarray(4));
    assert.equal(answer['id'], 0);
    assert.equal(codeOf(answer), 'E_PEER_DENIED');
    assert.equal(output.readUInt32BE(0) + 4, output.length);

    // Root, for comparison, gets as far as being told what is wrong with its message.
    assert.equal(codeOf(decodeBody((await connectAs(0, socketPath)).output.subarray(4))), 'E_FRAME_INVALID');
    await until('all are gone', () => server.connectionCount === 0);
  });
});
