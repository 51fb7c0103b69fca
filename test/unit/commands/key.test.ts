import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ERROR_LINE, SNAPSHOT, setUp, type World } from '../../support/command-world.js';

const STORE = '/mnt/cloud';

interface Key {
  readonly fingerprint: string;
  readonly kind: string;
  readonly label: string;
  readonly inUse: boolean;
}

/** An encrypted repository with one snapshot; its key is in the environment. */
async function withEncrypted(t: TestContext): Promise<World & { keyFile: string }> {
  const world = await setUp(t);
  const { cli, directory, disk, config } = world;
  const keyFile = join(directory, 'cloud.key');
  cli.engine.disk.makeDirectory(STORE);
  const made = await cli.run('init', STORE, '--encryption-key', keyFile);
  assert.equal(made.code, 0, made.err);
  cli.keyFile = keyFile;
  const backup = ['backup', STORE, '--guest', 'qemu/100', '--disk', `drive-scsi0=${disk}`, '--config', config];
  const { code, err } = await cli.run(...backup, '--notes', 'before the upgrade');
  assert.equal(code, 0, err);
  return { ...world, keyFile };
}

async function keysOf({ cli }: World): Promise<Key[]> {
  return (await cli.json('key', 'list', STORE)) as Key[];
}

function fileOf({ directory }: World, name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('vzvault init --encryption-key', () => {
  it('makes the key where there is none, for its owner only, and uses it where there is', async (t) => {
    const { cli, directory } = await setUp(t);
    for (const path of ['/mnt/one', '/mnt/two']) cli.engine.disk.makeDirectory(path);
    const file = join(directory, 'new.key');
    const one = (await cli.json('init', '/mnt/one', '--encryption-key', file)) as Record<string, unknown>;
    assert.deepEqual([one['suite'], one['keyFile']], ['aes-256-gcm', file]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, 'utf8');
    const { code, out } = await cli.run('init', '/mnt/two', '--encryption-key', 'autogen', '--key-file', file);
    assert.equal(code, 0);
    assert.match(out, /encrypted\)\nit is opened by the key .*vzvault key sheet/);
    assert.equal(readFileSync(file, 'utf8'), text);
    for (const path of ['/mnt/one', '/mnt/two'])
      assert.equal((await cli.run('show', path, 'x', '--key-file', file)).code, 2);
  });

  it('makes nothing where somebody may believe that it is encrypted, or that its key is sealed', async (t) => {
    const { cli, directory } = await setUp(t);
    cli.engine.disk.makeDirectory('/mnt/one');
    const [key, passphrase] = [join(directory, 'new.key'), join(directory, 'passphrase')];
    writeFileSync(passphrase, 'a first passphrase\n');
    for (const args of [
      ['--key-file', key],
      ['--encryption-key', key, '--key-file', key],
      ['--encryption-key', key, '--passphrase-file', passphrase],
    ]) {
      const { code, err } = await cli.run('init', '/mnt/one', ...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, ERROR_LINE);
      assert.ok(!existsSync(key));
    }
    assert.match((await cli.run('list', '/mnt/one')).err, /E_REPOSITORY_MISSING/);
  });

  it('wants to know where a key shall be that it makes', async (t) => {
    const { cli } = await setUp(t);
    cli.engine.disk.makeDirectory('/mnt/one');
    const { code, err } = await cli.run('init', '/mnt/one', '--encryption-key', 'autogen');
    assert.equal(code, 2);
    assert.match(err, /--key-file or VZVAULT_KEY_FILE/);
    assert.match((await cli.run('list', '/mnt/one')).err, /E_REPOSITORY_MISSING/);
  });
});

describe('a command on an encrypted repository', () => {
  it('reads all of it with the key, from the environment or the option', async (t) => {
    const { cli, keyFile } = await withEncrypted(t);
    assert.match((await cli.run('list', STORE)).out, /before the upgrade/);
    cli.keyFile = undefined;
    assert.match((await cli.run('list', STORE, '--key-file', keyFile)).out, /before the upgrade/);
    assert.match((await cli.run('show', STORE, SNAPSHOT, '--file', 'guest.conf', '--key-file', keyFile)).out, /büro/);
    assert.match((await cli.run('stats', STORE, '--key-file', keyFile)).out, /encryption: +AES-256-GCM\n/);
  });

  it('takes the key file of the storage id', async (t) => {
    const { cli, directory, keyFile } = await withEncrypted(t);
    cli.keyFile = undefined;
    cli.storageConfigPath = join(directory, 'storage.cfg');
    writeFileSync(cli.storageConfigPath, `vzvault: cloud\n\tpath ${STORE}\n\tencryption-key ${'f'.repeat(32)}\n`);
    process.env['VZVAULT_KEY_DIR'] = directory;
    t.after(() => {
      delete process.env['VZVAULT_KEY_DIR'];
    });
    assert.match((await cli.run('list', 'cloud')).err, /cloud\.enc.*E_KEY_MISSING/);
    writeFileSync(join(directory, 'cloud.enc'), readFileSync(keyFile), { mode: 0o600 });
    assert.match((await cli.run('list', 'cloud')).out, /before the upgrade/);
  });

  it('lists without the key what there is, and says why that is all', async (t) => {
    const { cli } = await withEncrypted(t);
    cli.keyFile = undefined;
    const { code, out, err } = await cli.run('list', STORE);
    assert.equal(code, 0);
    assert.match(out, /qemu\/100@2026-11-22T04:17:14Z +- +- +encrypted\n/);
    assert.match(err, ERROR_LINE);
    assert.match(err, /E_KEY_MISSING/);
    const [entry] = (await cli.json('list', STORE)) as Record<string, unknown>[];
    assert.deepEqual([entry?.['encrypted'], entry?.['damage'], entry?.['verifyState']], [true, null, 'unknown']);
    assert.match((await cli.run('stats', STORE)).out, /logical: +not known without the key/);
    for (const args of [
      ['show', STORE, SNAPSHOT],
      ['restore', STORE, SNAPSHOT, '--disk', 'drive-scsi0', '--to', '/nonexistent/x'],
      ['mount', STORE, '/nonexistent/x'],
      ['backup', STORE, '--guest', 'qemu/101', '--disk', 'drive-scsi0=/dev/null'],
      ['key', 'sheet', STORE],
      ['prune', STORE, '--keep-last', '1'],
      ['prune', STORE, '--keep-last', '1', '--dry-run'],
    ]) {
      const outcome = await cli.run(...args);
      assert.equal(outcome.code, 1, args.join(' '));
      assert.match(outcome.err, ERROR_LINE);
      assert.match(outcome.err, /E_KEY_MISSING/);
    }
  });

  it('verifies packs without the key, and says that this was all', async (t) => {
    const { cli, keyFile } = await withEncrypted(t);
    cli.keyFile = undefined;
    const { code, out, err } = await cli.run('verify', STORE);
    assert.equal(code, 0);
    assert.match(out, /no snapshots: all intact\n$/);
    assert.match(err, /only packs were verified, by their names: .*E_KEY_MISSING/);
    assert.match((await cli.run('verify', STORE, SNAPSHOT)).err, /E_KEY_MISSING/);
    assert.equal((await cli.run('verify', STORE, '--key-file', keyFile)).code, 0);
    assert.match((await cli.run('list', STORE, '--key-file', keyFile)).out, /verified/);
  });

  it('says that the key is wrong', async (t) => {
    const { cli, directory } = await withEncrypted(t);
    cli.engine.disk.makeDirectory('/mnt/other');
    const other = join(directory, 'other.key');
    await cli.run('init', '/mnt/other', '--encryption-key', other);
    const { code, out, err } = await cli.run('list', STORE, '--key-file', other);
    assert.equal(code, 1);
    assert.match(out, /encrypted/);
    assert.match(err, ERROR_LINE);
    assert.match(err, /E_KEY_WRONG/);
  });

  it('refuses one in plain where the command line names a key', async (t) => {
    const { cli, keyFile } = await withEncrypted(t);
    assert.equal((await cli.run('list', '/mnt/nas')).code, 0);
    assert.match((await cli.run('list', '/mnt/nas', '--key-file', keyFile)).err, /E_SUITE_MISMATCH/);
    assert.match((await cli.run('key', 'list', '/mnt/nas')).err, /is not encrypted \(E_UNSUPPORTED/);
  });
});

describe('vzvault key', () => {
  it('adds keys and takes them away, but for the last', async (t) => {
    const world = await withEncrypted(t);
    const { cli, directory } = world;
    const second = join(directory, 'second.key');
    assert.equal((await cli.run('key', 'add', STORE, second, '--label', 'the other site')).code, 0);
    const keys = await keysOf(world);
    assert.deepEqual(keys.map(({ kind, label, inUse }) => [kind, label, inUse]).sort(), [
      ['key', 'node1', true],
      ['key', 'the other site', false],
    ]);
    const first = keys.find(({ inUse }) => inUse)?.fingerprint ?? '';
    assert.match((await cli.run('key', 'remove', STORE, 'zz')).err, /E_KEY_MISSING/);
    assert.equal((await cli.run('key', 'remove', STORE, first.slice(0, 12), '--key-file', second)).code, 0);
    assert.match((await cli.run('list', STORE)).err, /E_KEY_WRONG/, 'the removed one opens nothing');
    cli.keyFile = second;
    assert.match((await cli.run('list', STORE)).out, /before the upgrade/);
    const [last] = await keysOf(world);
    assert.match((await cli.run('key', 'remove', STORE, last?.fingerprint ?? '')).err, /the last key/);
  });

  it('adds a passphrase that opens the repository without a file, and changes it', async (t) => {
    const world = await withEncrypted(t);
    const { cli } = world;
    cli.secrets.push('a first passphrase', 'another passphrase');
    assert.match((await cli.run('key', 'add', STORE, '--passphrase')).err, /the two passphrases differ/);
    cli.secrets.push('too short', 'too short');
    assert.match((await cli.run('key', 'add', STORE, '--passphrase')).err, /12 to 1024 bytes/);
    cli.secrets.push('a first passphrase', 'a first passphrase');
    assert.equal((await cli.run('key', 'add', STORE, '--passphrase')).code, 0);
    cli.keyFile = undefined;
    cli.prompts.length = 0;
    cli.secrets.push('a first passphrase');
    assert.match((await cli.run('list', STORE)).out, /before the upgrade/);
    assert.deepEqual(cli.prompts, [`Passphrase of the repository ${STORE}/vzvault: `]);
    const old = fileOf(world, 'old', 'a first passphrase\n');
    const fresh = fileOf(world, 'fresh', 'a second passphrase\r\n');
    const changed = await cli.run('key', 'passphrase', STORE, '--passphrase-file', old, '--new-passphrase-file', fresh);
    assert.equal(changed.code, 0, changed.err);
    assert.match((await cli.run('list', STORE, '--passphrase-file', old)).err, /E_KEY_WRONG/);
    cli.input = 'a second passphrase\n';
    assert.match((await cli.run('list', STORE, '--passphrase-file', '-')).out, /before the upgrade/);
    assert.deepEqual((await keysOf(world)).map(({ kind }) => kind).sort(), ['key', 'passphrase']);
  });

  it('seals a key file by a passphrase, changes it, and takes it away', async (t) => {
    const world = await withEncrypted(t);
    const { cli, keyFile } = world;
    const change = ['key', 'passphrase', STORE, '--key-file', keyFile];
    cli.secrets.push('a first passphrase', 'a first passphrase');
    assert.equal((await cli.run(...change)).code, 0);
    assert.match((await cli.run('show', STORE, SNAPSHOT)).err, /E_KEY_MISSING/, 'nobody says the passphrase');
    cli.secrets.push('a wrong passphrase');
    assert.match((await cli.run('show', STORE, SNAPSHOT)).err, /E_KEY_WRONG/);
    cli.secrets.push('a first passphrase');
    assert.equal((await cli.run('show', STORE, SNAPSHOT)).code, 0);
    cli.secrets.push('a first passphrase', 'a second passphrase', 'a second passphrase');
    assert.equal((await cli.run(...change)).code, 0);
    cli.secrets.push('a second passphrase');
    const gone = await cli.run(...change, '--none');
    assert.equal(gone.code, 0, gone.err);
    assert.equal((await cli.run('show', STORE, SNAPSHOT)).code, 0);
    assert.equal(statSync(keyFile).mode & 0o777, 0o600);
  });

  it('seals a new key file by the passphrase that is given, and does nothing half', async (t) => {
    const world = await withEncrypted(t);
    const { cli, directory, keyFile } = world;
    const [file, passphrase] = [join(directory, 'second.key'), fileOf(world, 'new', 'a new passphrase\n')];
    const add = ['key', 'add', STORE];
    for (const args of [
      [...add, keyFile, '--sealed'],
      [...add, keyFile, '--new-passphrase-file', passphrase],
      [...add, '--passphrase', '--sealed', '--new-passphrase-file', passphrase],
      ['key', 'passphrase', STORE, '--key-file', keyFile, '--none', '--new-passphrase-file', passphrase],
    ]) {
      const { code, err } = await cli.run(...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, ERROR_LINE);
    }
    const { code, err } = await cli.run(...add, file, '--new-passphrase-file', passphrase);
    assert.equal(code, 0, err);
    assert.match(readFileSync(file, 'utf8'), /"sealed"/);
    cli.keyFile = file;
    cli.secrets.push('a new passphrase');
    assert.match((await cli.run('list', STORE)).out, /before the upgrade/);
  });

  it('changes the passphrase of a storage that has a key file, too', async (t) => {
    const world = await withEncrypted(t);
    const { cli, directory, keyFile } = world;
    cli.secrets.push('a first passphrase', 'a first passphrase');
    assert.equal((await cli.run('key', 'add', STORE, '--passphrase')).code, 0);
    cli.keyFile = undefined;
    cli.storageConfigPath = join(directory, 'storage.cfg');
    writeFileSync(cli.storageConfigPath, `vzvault: cloud\n\tpath ${STORE}\n\tencryption-key ${'f'.repeat(32)}\n`);
    writeFileSync(join(directory, 'cloud.enc'), readFileSync(keyFile), { mode: 0o600 });
    process.env['VZVAULT_KEY_DIR'] = directory;
    t.after(() => {
      delete process.env['VZVAULT_KEY_DIR'];
    });
    cli.secrets.push('a first passphrase', 'a second passphrase', 'a second passphrase');
    const { code, err } = await cli.run('key', 'passphrase', 'cloud');
    assert.equal(code, 0, err);
    cli.secrets.push('a second passphrase');
    assert.match((await cli.run('list', STORE)).out, /before the upgrade/);
  });

  it('prints a sheet that opens the repository once all keys are lost', async (t) => {
    const world = await withEncrypted(t);
    const { cli, directory } = world;
    const { out } = await cli.run('key', 'sheet', STORE);
    assert.match(out, /█/);
    assert.ok(!/█/.test((await cli.run('key', 'sheet', STORE, '--no-qr')).out));
    const { files } = cli.engine.disk;
    for (const name of files.keys()) if (name.includes('/keys/')) files.delete(name);
    assert.match((await cli.run('list', STORE)).err, /E_KEY_WRONG/);
    const restored = join(directory, 'restored.key');
    cli.input = out.replace(/^( {2}2:.*)(.)$/m, (_, line: string, digit: string) => line + (digit === '0' ? '1' : '0'));
    const wrong = await cli.run('key', 'restore', STORE, restored);
    assert.match(wrong.err, /line 2 of the recovery sheet/);
    assert.ok(!existsSync(restored));
    cli.input = out;
    const restore = await cli.run('key', 'restore', STORE, restored);
    assert.equal(restore.code, 0, restore.err);
    cli.keyFile = restored;
    assert.match((await cli.run('list', STORE)).out, /before the upgrade/);
    assert.equal((await cli.run('key', 'add', STORE, join(directory, 'new.key'))).code, 0, 'and new keys can be made');
    assert.match((await cli.run('key', 'restore', STORE, restored)).err, /E_TARGET_EXISTS/);
  });

  it('refuses the sheet of another repository', async (t) => {
    const { cli, directory } = await withEncrypted(t);
    cli.engine.disk.makeDirectory('/mnt/other');
    const other = join(directory, 'other.key');
    await cli.run('init', '/mnt/other', '--encryption-key', other);
    const sheet = join(directory, 'sheet.txt');
    writeFileSync(sheet, (await cli.run('key', 'sheet', '/mnt/other', '--key-file', other)).out);
    const { err } = await cli.run('key', 'restore', STORE, join(directory, 'x.key'), '--sheet', sheet);
    assert.match(err, /E_KEY_WRONG/);
    assert.ok(!existsSync(join(directory, 'x.key')));
  });
});
