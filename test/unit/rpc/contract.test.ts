import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { clientContract, daemonContract, type DaemonMethod } from '../../../src/rpc/contract.js';
import { parseWith } from '../../../src/rpc/parse.js';
import { throwsWith } from '../../support/assertions.js';
import { projectRoot } from '../../support/project.js';

const storage = { id: 'vault', path: '/mnt/vault', isMountpoint: '' };
const volume = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';

function accepts(method: DaemonMethod, params: unknown): void {
  assert.deepEqual(parseWith(daemonContract[method].params, params, method), params);
}

function refuses(method: DaemonMethod, params: unknown, what: RegExp): void {
  assert.match(
    throwsWith('E_ARGUMENT_INVALID', () => parseWith(daemonContract[method].params, params, method)).message,
    what,
  );
}

describe('the contract', () => {
  it('has exactly the methods of docs/protocol.md', () => {
    const page = readFileSync(join(projectRoot, 'docs/protocol.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `((?:storage|job|backup|restore|daemon)\.[A-Za-z]+)` \|/gm)].map(
      ([, name]) => name,
    );
    const methods = [...Object.keys(daemonContract), ...Object.keys(clientContract)];
    assert.deepEqual(methods.sort(), documented.sort());
  });

  it('takes storages as storage.cfg can describe them', () => {
    accepts('storage.activate', { storage });
    accepts('storage.activate', { storage: { ...storage, isMountpoint: 'yes', chunkSizeBytes: 524_288 } });
    accepts('storage.activate', { storage: { ...storage, vmMechanism: 'file-handle', instance: 'af'.repeat(16) } });
    accepts('storage.activate', { storage: { ...storage, isMountpoint: '/mnt', path: '/mnt/Zürich 日本' } });
  });

  it('refuses paths that are none', () => {
    for (const path of ['', 'mnt', '/a\nb', '/a\0b', '/a\u007f', `/${'x'.repeat(4095)}`]) {
      refuses('storage.activate', { storage: { ...storage, path } }, /^storage\.activate: storage\.path: /);
    }
    refuses('storage.activate', { storage: { ...storage, isMountpoint: 'no' } }, /isMountpoint/);
  });

  it('refuses storage ids that storage.cfg would not take', () => {
    for (const id of ['', 'a', '1a', 'a/b', '../a', 'a b', 'a-']) {
      refuses('storage.activate', { storage: { ...storage, id } }, /storage\.id/);
    }
  });

  it('refuses missing, unknown and wrong fields by name', () => {
    refuses('storage.info', { storage }, /volume/);
    refuses('storage.info', { storage, volume, more: 1 }, /more/);
    refuses('storage.info', { storage, volume: `${volume}\n` }, /volume: not the name of a backup of ours/);
    refuses('storage.list', { storage, vmid: 99 }, /vmid/);
    refuses('storage.list', { storage, vmid: '100' }, /vmid/);
    refuses('storage.setProtected', { storage, volume, protected: 1 }, /protected/);
    refuses('job.begin', { storage, startTimeSeconds: -1 }, /startTimeSeconds/);
  });

  it('takes devices that can be file names, and no others', () => {
    const disks = (device: string): unknown => ({
      ...{ backupId: 'b', qemuPid: null },
      disks: { [device]: { sizeBytes: 1 } },
    });
    accepts('backup.queryIncremental', disks('drive-scsi0'));
    accepts('backup.queryIncremental', disks('drive-tpmstate0-backup'));
    for (const device of ['', '..', 'a/b', '0a', 'a b', 'ä', 'x'.repeat(64)]) {
      refuses('backup.queryIncremental', disks(device), /disks/);
    }
  });

  it('takes base64 as RFC 4648 has it, of any allowed length, quickly', () => {
    const read = (contentBase64: string | null): unknown =>
      daemonContract['storage.readConfig'].result.parse({ contentBase64 });
    const largest = Buffer.alloc(8 * 1024 * 1024, 0xff).toString('base64');
    for (const good of [null, '', 'QQ==', 'QUI=', 'QUJD', '++//', largest])
      assert.deepEqual(read(good), { contentBase64: good });
    for (const bad of ['Q', 'QQ=', 'QQ', 'Q===', 'QQ==QQ==', 'QU-_', 'QUJD\n', `${largest}AAAA`]) {
      assert.throws(() => read(bad), bad.slice(0, 20));
    }
  });

  it('promises to answer storage calls in less than 2 s, those that may take long in less than 50 s', () => {
    for (const [method, contract] of Object.entries(daemonContract)) {
      if (!method.startsWith('storage.')) continue;
      const limitMs = (contract as { answerWithinMs?: number }).answerWithinMs ?? Infinity;
      const isPatient = ['storage.create', 'storage.free'].includes(method);
      assert.ok(limitMs < (isPatient ? 50_000 : 2_000), method);
    }
  });
});
