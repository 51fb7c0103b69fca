/**
 * Golden frames: bytes that were written once by each of the two encoders are what that encoder still writes and what both decoders
 * read. test/perl does the same on its side.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { decodeBody, encodeMessage, type PlainMap } from '../../src/rpc/codec.js';
import { clientContract, daemonContract, hello, isDaemonMethod, notifications } from '../../src/rpc/contract.js';
import { FrameDecoder } from '../../src/rpc/framing.js';
import { parseMessage } from '../../src/rpc/message.js';
import { projectRoot } from '../support/project.js';
import { framesDirectory, typescriptMessages } from './frames/make-typescript-frames.js';

const files = readdirSync(framesDirectory).filter((name) => name.endsWith('.bin'));

function golden(file: string): { bytes: Buffer; message: PlainMap } {
  const bytes = readFileSync(join(framesDirectory, file));
  const json = readFileSync(join(framesDirectory, file.replace(/\.bin$/, '.json')), 'utf8');
  return { bytes, message: JSON.parse(json) as PlainMap };
}

describe('golden frames', () => {
  it('come from both encoders', () => {
    assert.ok(files.filter((name) => name.startsWith('perl-')).length >= 10);
    assert.equal(files.filter((name) => name.startsWith('typescript-')).length, Object.keys(typescriptMessages).length);
  });

  for (const file of files) {
    it(`${file} is read by TypeScript`, () => {
      const { bytes, message } = golden(file);
      const bodies = [...new FrameDecoder().push(bytes)];
      assert.equal(bodies.length, 1);
      assert.deepEqual(decodeBody(bodies[0] ?? Buffer.alloc(0)), message);
    });
  }

  for (const file of files.filter((name) => name.startsWith('perl-'))) {
    it(`${file} is a message that the contract takes`, () => {
      const message = parseMessage(golden(file).message);
      if (message.kind === 'request' && message.method === 'hello') hello.params.parse(message.params);
      else if (message.kind === 'request') {
        assert.ok(isDaemonMethod(message.method), message.method);
        daemonContract[message.method].params.parse(message.params);
      } else if (message.kind === 'notification') {
        notifications.cancel.parse(message.params);
      } else if ('result' in message.outcome) {
        const method = file.startsWith('perl-archive-end') ? 'backup.archiveEnd' : 'backup.nextDirtyRegions';
        clientContract[method].result.parse(message.outcome.result);
      } else {
        const { code, message: text } = message.outcome.error;
        assert.ok(code === 'E_METHOD_UNKNOWN' || code === 'E_SOURCE_BITMAP', `${code}: ${text}`);
      }
    });
  }

  for (const [name, method] of [
    ['next-dirty-regions', 'backup.nextDirtyRegions'],
    ['archive-end', 'backup.archiveEnd'],
  ] as const) {
    it(`typescript-${name}.bin is a request that the contract takes`, () => {
      const message = parseMessage(golden(`typescript-${name}.bin`).message);
      assert.ok(message.kind === 'request' && message.method === method);
      clientContract[method].params.parse(message.params);
    });
  }

  for (const [name, message] of Object.entries(typescriptMessages)) {
    it(`typescript-${name}.bin is what TypeScript still writes`, () => {
      assert.deepEqual(encodeMessage(message), golden(`typescript-${name}.bin`).bytes);
    });
  }

  for (const file of files) {
    it(`${file} is read by Perl`, () => {
      const script = `
        use strict; use warnings; use JSON::PP; use PVE::Vzvault::Frame;
        my $bytes = do { local $/; <STDIN> };
        my $message = PVE::Vzvault::Frame::decode(\\$bytes);
        die "bytes are left\\n" if length($bytes);
        print JSON::PP->new->utf8->allow_nonref->convert_blessed->encode(plain($message));
        sub plain {
          my ($value) = @_;
          return { map { $_ => plain($value->{$_}) } keys %$value } if ref($value) eq 'HASH';
          return [map { plain($_) } @$value] if ref($value) eq 'ARRAY';
          return $value ? JSON::PP::true() : JSON::PP::false() if ref($value);
          return $value;
        }`;
      const { bytes, message } = golden(file);
      const output = execFileSync('perl', [`-I${join(projectRoot, 'perl')}`, '-e', script], { input: bytes });
      assert.deepEqual(JSON.parse(output.toString('utf8')), message);
    });
  }
});
