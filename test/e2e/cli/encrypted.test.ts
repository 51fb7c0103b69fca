/** An encrypted repository through the real programs, from its making to a restore on another machine. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { assertSameBytes, noise } from '../../support/images.js';
import { Station, vzvaultProgram } from '../../support/vzvault.js';

const MIB = 1024 * 1024;
const LATEST = 'qemu/100@latest';
const SECRET_WORDS = ['drive-scsi0', 'hush-disk', 'hush-config', 'hush-notes', 'hush-name', 'guest.conf', 'memory:'];

interface Stage {
  readonly station: Station;
  readonly disk: string;
  readonly keyFile: string;
}

/** A disk with words that can be looked for, zeroes, and what does not compress. */
function makeDisk(path: string): void {
  const words = Buffer.from('hush-disk, a text that compresses well\n'.repeat(60_000));
  writeFileSync(path, Buffer.concat([words, Buffer.alloc(4 * MIB), noise(3 * MIB + 17, 7), Buffer.from('hush-disk')]));
}

async function withBackup(t: TestContext): Promise<Stage> {
  const station = Station.empty(t);
  const [disk, config, keyFile] = [station.path('disk.raw'), station.path('100.conf'), station.path('nas.key')];
  makeDisk(disk);
  writeFileSync(config, 'memory: 512\nname: hush-name\ndescription: hush-config\n');
  await station.must('init', station.store, '--encryption-key', keyFile);
  const made = await station.backup(disk, '--config', config, '--notes', 'hush-notes', '--key-file', keyFile);
  assert.equal(made.code, 0, made.err);
  return { station, disk, keyFile };
}

async function assertRestores({ station, disk }: Stage, ...options: string[]): Promise<void> {
  const copy = station.path(`copy-${Math.random()}`);
  await station.must('restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', copy, ...options);
  await assertSameBytes(disk, copy);
  rmSync(copy);
}

/** Flipped twice it is as it was. */
function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path);
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  writeFileSync(path, bytes);
}

/** Types `answers`, one at each prompt, into a terminal in which vzvault runs; answers all that the terminal showed. */
async function onTerminal(station: Station, args: readonly string[], answers: readonly string[]): Promise<string> {
  const command = [vzvaultProgram, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, ...station.environment } });
  let shown = '';
  let prompts = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    const asked = shown.split(/(?:passphrase|Passphrase of [^\n]*|The same again): /).length - 1;
    for (; prompts < asked; prompts += 1) child.stdin.write(`${answers[prompts] ?? ''}\n`);
  });
  await new Promise((settle) => child.once('close', settle));
  return shown;
}

describe('an encrypted repository', () => {
  it('gives everything back to its key: list, show, restore, mount, verify', async (t) => {
    const stage = await withBackup(t);
    const { station, keyFile, disk } = stage;
    const key = ['--key-file', keyFile];
    assert.match((await station.must('list', station.store, ...key)).out, /hush-notes/);
    assert.match(
      (await station.must('show', station.store, LATEST, '--file', 'guest.conf', ...key)).out,
      /hush-config/,
    );
    await assertRestores(stage, ...key);
    const verified = await station.must('verify', station.store, ...key);
    assert.match((await station.must('list', station.store, ...key)).out, /verified/, verified.out);
    const again = JSON.parse((await station.backup(disk, ...key, '--json')).out) as { newBytes: number };
    assert.equal(again.newBytes, 0, 'what is stored already is found again');
    const directory = station.path('mnt');
    mkdirSync(directory);
    await station.must('mount', station.store, LATEST, directory, ...key);
    try {
      await assertSameBytes(disk, join(directory, 'drive-scsi0.raw'));
    } finally {
      execFileSync('umount', [directory]);
    }
  });

  it('shows nothing of what is in it, in any file', async (t) => {
    const { station } = await withBackup(t);
    const files = ['packs', 'index', 'snapshots', 'keys'].flatMap((part) => station.files(part));
    assert.ok(files.length >= 5, files.join('\n'));
    for (const path of [...files, join(station.store, 'vzvault/config')]) {
      const bytes = readFileSync(path);
      for (const word of SECRET_WORDS) assert.ok(!bytes.includes(word), `${word} stands in ${path}`);
      assert.ok(!bytes.includes(noise(3 * MIB, 7).subarray(0, 64)), `the disk's bytes stand in ${path}`);
    }
    for (const path of readdirSync(station.path('cache'), { recursive: true, withFileTypes: true })) {
      if (!path.isFile()) continue;
      const bytes = readFileSync(join(path.parentPath, path.name));
      for (const word of SECRET_WORDS) assert.ok(!bytes.includes(word), `${word} stands in the cache`);
    }
  });

  it('without its key lists what there is, and says in one line what is missing', async (t) => {
    const { station, disk } = await withBackup(t);
    const listed = await station.run('list', station.store);
    assert.equal(listed.code, 0);
    assert.match(listed.out, /qemu\/100@\S+ +- +- +encrypted/);
    assert.match(listed.err, /^vzvault: [^\n]+\(E_KEY_MISSING: [^\n]+\)\n$/);
    const { packs, locked } = await station.json<{ packs: number; locked: boolean }>('stats', station.store);
    assert.ok(packs > 0 && locked);
    const verified = await station.run('verify', station.store);
    assert.equal(verified.code, 0, verified.err);
    assert.match(verified.err, /only packs were verified/);
    const before = station.files('snapshots');
    for (const args of [
      ['show', station.store, LATEST],
      ['restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', station.path('x')],
      ['backup', station.store, '--guest', 'qemu/101', '--disk', `drive-scsi0=${disk}`],
    ]) {
      const { code, err } = await station.run(...args);
      assert.equal(code, 1);
      assert.match(err, /^vzvault: [^\n]+\(E_KEY_MISSING: [^\n]+\)\n$/);
    }
    assert.deepEqual(station.files('snapshots'), before);
  });

  it('refuses the key of another repository, and one in plain where a key is named', async (t) => {
    const { station, keyFile } = await withBackup(t);
    const other = Station.empty(t);
    const otherKey = other.path('other.key');
    await other.must('init', other.store, '--encryption-key', otherKey);
    const wrong = await station.run('show', station.store, LATEST, '--key-file', otherKey);
    assert.match(wrong.err, /^vzvault: [^\n]+\(E_KEY_WRONG: [^\n]+\)\n$/);
    const plain = await Station.withRepository(t);
    const disguised = await plain.run('list', plain.store, '--key-file', keyFile);
    assert.match(disguised.err, /E_SUITE_MISMATCH/);
  });

  it('opens by a second key once the first is removed, and is not rewritten for it', async (t) => {
    const stage = await withBackup(t);
    const { station, keyFile } = stage;
    const data = (): string[] => ['packs', 'index', 'snapshots'].flatMap((part) => station.files(part));
    const before = data().map((path) => [path, readFileSync(path).toString('base64')]);
    const second = station.path('second.key');
    await station.must('key', 'add', station.store, second, '--key-file', keyFile, '--label', 'second');
    assert.equal(statSync(second).mode & 0o777, 0o600);
    await assertRestores(stage, '--key-file', second);
    interface Key {
      readonly fingerprint: string;
      readonly label: string;
    }
    const keys = await station.json<Key[]>('key', 'list', station.store);
    const first = keys.find(({ label }) => label !== 'second')?.fingerprint ?? '';
    await station.must('key', 'remove', station.store, first, '--key-file', second);
    assert.match((await station.run('show', station.store, LATEST, '--key-file', keyFile)).err, /E_KEY_WRONG/);
    await assertRestores(stage, '--key-file', second);
    assert.deepEqual(
      data().map((path) => [path, readFileSync(path).toString('base64')]),
      before,
    );
  });

  it('opens by a passphrase, asked for on the terminal without echo or read from a descriptor', async (t) => {
    const stage = await withBackup(t);
    const { station, keyFile } = stage;
    const [first, second] = ['correct horse battery', 'another horse'];
    const added = await onTerminal(
      station,
      ['key', 'add', station.store, '--passphrase', '--key-file', keyFile],
      [first, first],
    );
    assert.match(added, /added the passphrase/);
    assert.ok(!added.includes(first), 'the terminal shows no passphrase');
    const shown = await onTerminal(station, ['list', station.store], [first]);
    assert.match(shown, /Passphrase of the repository .*: .*hush-notes/s);
    assert.ok(!shown.includes(first));
    assert.match(await onTerminal(station, ['show', station.store, LATEST], ['a wrong passphrase']), /E_KEY_WRONG/);
    const [old, fresh] = [station.path('old'), station.path('fresh')];
    writeFileSync(old, `${first}\n`);
    writeFileSync(fresh, `${second}\n`);
    await station.must('key', 'passphrase', station.store, '--passphrase-file', old, '--new-passphrase-file', fresh);
    assert.match((await station.run('show', station.store, LATEST, '--passphrase-file', old)).err, /E_KEY_WRONG/);
    await assertRestores(stage, '--passphrase-file', fresh);
  });

  it('opens by the typed sheet once all keys are lost', async (t) => {
    const stage = await withBackup(t);
    const { station, keyFile } = stage;
    const { out } = await station.must('key', 'sheet', station.store, '--key-file', keyFile);
    const sheet = station.path('sheet.txt');
    writeFileSync(
      sheet,
      out
        .split('\n')
        .filter((line) => /^ {2}[1-4]:/.test(line))
        .join('\n'),
    );
    rmSync(keyFile);
    rmSync(join(station.store, 'vzvault/keys'), { recursive: true });
    await station.must('key', 'restore', station.store, keyFile, '--sheet', sheet);
    await assertRestores(stage, '--key-file', keyFile);
  });

  it('is damaged, never wrong, wherever it is changed', async (t) => {
    const stage = await withBackup(t);
    const { station, disk, keyFile } = stage;
    const copy = station.path('copy');
    for (const part of ['packs', 'snapshots']) {
      for (const path of station.files(part)) {
        const { size } = statSync(path);
        for (const share of [0.001, 0.3, 0.7, 0.999]) {
          const bit = Math.floor(size * 8 * share);
          flipBit(path, bit);
          const { code, err } = await station.run(
            ...['restore', station.store, LATEST, '--disk', 'drive-scsi0', '--to', copy, '--key-file', keyFile],
          );
          if (code === 0) await assertSameBytes(disk, copy);
          else assert.match(err, /E_(?:CHUNK|PACK|MAP|SNAPSHOT)_[A-Z]+/, path);
          rmSync(copy, { force: true });
          flipBit(path, bit);
        }
      }
    }
    await assertRestores(stage, '--key-file', keyFile);
  });

  it('keeps its key out of arguments and environments', async (t) => {
    const { station, keyFile } = await withBackup(t);
    const directory = station.path('mnt');
    mkdirSync(directory);
    await station.must('mount', station.store, LATEST, directory, '--key-file', keyFile);
    try {
      const { out } = await station.must('key', 'sheet', station.store, '--no-qr', '--key-file', keyFile);
      const digits = [...out.matchAll(/^ {2}[1-4]: {2}((?:[0-9a-f]{4} ){3}[0-9a-f]{4})/gm)].map(
        ([, line = '']) => line,
      );
      const secret = Buffer.from(digits.join('').replaceAll(' ', ''), 'hex');
      assert.equal(secret.length, 32);
      const { key = '' } = JSON.parse(readFileSync(keyFile, 'utf8')) as { key?: string };
      const processes = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
      const seen = processes.map((pid) => readProcess(pid)).filter((text) => text.includes(directory));
      assert.ok(seen.some((text) => text.includes('vzvault-fuse')));
      for (const text of seen)
        for (const hidden of [key, secret.toString('base64'), secret.toString('hex')])
          assert.ok(!text.includes(hidden));
    } finally {
      execFileSync('umount', [directory]);
    }
  });
});

/** Arguments and environment of a process; empty where it is gone. */
function readProcess(pid: string): string {
  try {
    return `${readFileSync(`/proc/${pid}/cmdline`, 'utf8')}\n${readFileSync(`/proc/${pid}/environ`, 'utf8')}`;
  } catch {
    return '';
  }
}
