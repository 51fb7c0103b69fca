/** A tree with one of everything that a container can hold, and a very deep one. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/** Holes where nothing was written. */
function writeSparse(path: string, sizeBytes: number, pieces: readonly { offset: number; bytes: Buffer }[]): void {
  const fd = openSync(path, 'wx');
  ftruncateSync(fd, sizeBytes);
  for (const { offset, bytes } of pieces) writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** A directory that lies deeper than one path name can say, with a file in it. */
export function makeDeepTree(directory: string): void {
  const name = 'd'.repeat(200);
  const script = `chdir $ARGV[0]; for (1..25) { mkdir $ARGV[1] or die $!; chdir $ARGV[1] or die $! } open my $f, '>', 'bottom' or die $!; print $f 'deep'`;
  execFileSync('perl', ['-e', script, directory, name]);
}

/** What the file at the bottom of makeDeepTree()'s holds. */
export function readDeepTree(directory: string): string {
  const name = 'd'.repeat(200);
  const script = `chdir $ARGV[0]; for (1..25) { chdir $ARGV[1] or die $! } open my $f, '<', 'bottom' or die $!; print <$f>`;
  return execFileSync('perl', ['-e', script, directory, name], { encoding: 'utf8' });
}

/** Needs root. Members beyond ten and a `sbin`, as `pct restore` wants. */
export function makeSampleTree(root: string): void {
  const at = (name: string): string => join(root, name);
  for (const name of ['sbin', 'etc', 'dev', 'run', 'var', 'home', 'tmp']) mkdirSync(at(name));
  writeFileSync(at('etc/hostname'), 'ct\n');
  writeFileSync(at('etc/empty'), '');
  writeFileSync(at('etc/one-block'), Buffer.alloc(512, 'b'));
  writeFileSync(at('etc/one-record'), Buffer.alloc(10_240, 'r'));
  writeFileSync(at('etc/records-and-a-byte'), Buffer.alloc(20_481, 'r'));
  writeFileSync(at('var/large'), Buffer.alloc(3_000_001, 'large '));
  writeFileSync(at('etc/shadow'), 'secret');
  chmodSync(at('etc/shadow'), 0o640);
  chownSync(at('etc/shadow'), 0, 42);
  chmodSync(root, 0o755);
  writeFileSync(at('etc/for-one'), 'for user 1000', { mode: 0o600 });
  execFileSync('setfacl', ['-m', 'u:1000:r', at('etc/for-one')]);
  writeFileSync(at('sbin/su'), '#!');
  chmodSync(at('sbin/su'), 0o4755);
  chmodSync(at('tmp'), 0o1777);
  chownSync(at('home'), 1000, 2_097_153);
  linkSync(at('etc/hostname'), at('etc/name'));
  linkSync(at('etc/hostname'), at('var/name'));
  symlinkSync('../etc/hostname', at('var/link'));
  symlinkSync('x'.repeat(300), at('var/long-link'));
  symlinkSync('/etc/passwd', at('etc/escape'));
  execFileSync('mkfifo', [at('run/initctl')]);
  execFileSync('mknod', [at('dev/null'), 'c', '1', '3']);
  execFileSync('mknod', [at('dev/sda'), 'b', '8', '0']);
  writeSparse(at('var/sparse'), 50_000_000, [
    { offset: 0, bytes: Buffer.alloc(4096, 1) },
    { offset: 8_192_000, bytes: Buffer.alloc(12_288, 2) },
    { offset: 40_960_000, bytes: Buffer.alloc(4096, 3) },
  ]);
  writeSparse(at('var/hole'), 7_000_000, []);
  writeSparse(
    at('var/comb'),
    2000 * 8192,
    Array.from({ length: 2000 }, (_, i) => ({ offset: i * 8192, bytes: Buffer.alloc(4096, 1 + (i % 251)) })),
  );
  const long = join(...Array.from({ length: 4 }, (_, i) => String(i).repeat(200)));
  mkdirSync(at(join('home', long)), { recursive: true });
  writeFileSync(at(join('home', long, 'file')), 'at the end of a long path');
  for (const name of ['line\nbreak', 'quo"te\'s \\', ' blank ', '-dash', 'a=b%', 'ä']) writeFileSync(at(name), name);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe, 0x01, 0x80])]), 'no UTF-8');
  execFileSync('setfattr', ['-n', 'user.comment', '-v', 'has = and % and \n', at('etc/hostname')]);
  execFileSync('setfattr', ['-n', 'user.a=b%', '-v', '0x00ff00', at('etc/empty')]);
  execFileSync('setfattr', ['-n', 'user.big', '-v', 'v'.repeat(700), at('etc')]);
  execFileSync('setfattr', [
    '-n',
    'security.capability',
    '-v',
    '0x0100000200200000000000000000000000000000',
    at('sbin/su'),
  ]);
  execFileSync('setfacl', ['-m', 'u:1000:rw,g:12345:r', at('etc/hostname')]);
  execFileSync('setfacl', ['-d', '-m', 'u:1001:rwx', at('home')]);
  // Node takes a number below 0 for the present time, but not a string.
  lutimesSync(at('etc/empty'), '-86400.5', '-86400.5');
  execFileSync('touch', ['-h', '-d', '2026-01-02 03:04:05.123456789', at('var/link'), at('etc/one-block')]);
  execFileSync('touch', ['-d', '@4294967297.000000001', at('var/large')]);
}
