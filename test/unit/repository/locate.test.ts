import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { locateStore, parseStorageConfig, storagesOfNode } from '../../../src/repository/locate.js';
import { throwsWith } from '../../support/assertions.js';
import { cleanupsOf } from '../../support/temp.js';

const STORAGE_CFG = `dir: local
\tpath /var/lib/vz
\tcontent iso,vztmpl,backup

# a comment
vzvault: vault
\tpath /mnt/nas
\tcontent backup
\tis_mountpoint yes
\tprune-backups keep-last=3,keep-daily=7
\tshared

vzvault: elsewhere
        path /mnt/nas/deep
        is_mountpoint /mnt/nas

vzvault: plain
\tpath /srv/plain
\tis_mountpoint 0

vzvault: broken
\tcontent backup
`;

function storageConfig(t: TestContext): string {
  const path = join(cleanupsOf(t).directory(), 'storage.cfg');
  writeFileSync(path, STORAGE_CFG);
  return path;
}

describe('what STORE means', () => {
  it('finds the path of a storage id, and the mount point that it insists on', (t) => {
    const config = storageConfig(t);
    assert.deepEqual(locateStore('vault', config), { path: '/mnt/nas', isMountpoint: 'yes' });
    assert.deepEqual(locateStore('elsewhere', config), { path: '/mnt/nas/deep', isMountpoint: '/mnt/nas' });
    assert.deepEqual(locateStore('plain', config), { path: '/srv/plain', isMountpoint: '' });
  });

  it('takes anything else for a path, relative to where we are', (t) => {
    const config = storageConfig(t);
    assert.deepEqual(locateStore('/mnt/x', config), { path: '/mnt/x' });
    assert.deepEqual(locateStore('./vault', config), { path: resolve('vault') });
    assert.deepEqual(locateStore('unknown', config), { path: resolve('unknown') });
  });

  it('works where there is no Proxmox VE', () => {
    assert.deepEqual(locateStore('vault', '/nonexistent/storage.cfg'), { path: resolve('vault') });
  });

  it('refuses a storage of another type or without a path', (t) => {
    const config = storageConfig(t);
    assert.match(throwsWith('E_UNSUPPORTED', () => locateStore('local', config)).message, /of type dir/);
    throwsWith('E_PATH_MISSING', () => locateStore('broken', config));
    throwsWith('E_ARGUMENT_INVALID', () => locateStore('', config));
  });

  it('reads sections as PVE writes them', () => {
    const sections = parseStorageConfig(STORAGE_CFG);
    assert.deepEqual(
      sections.map(({ type, id }) => `${type}: ${id}`),
      ['dir: local', 'vzvault: vault', 'vzvault: elsewhere', 'vzvault: plain', 'vzvault: broken'],
    );
    assert.equal(sections[1]?.properties.get('prune-backups'), 'keep-last=3,keep-daily=7');
    assert.equal(sections[1].properties.get('shared'), '');
  });
});

describe('the storages of a node', () => {
  const config = `vzvault: everywhere
\tpath /mnt/nas
\tis_mountpoint yes
\tencryption-key ${'a'.repeat(32)}

vzvault: two
\tpath /mnt/two
\tnodes node2,node3

vzvault: off
\tpath /mnt/off
\tdisable

vzvault: on-again
\tpath /mnt/on
\tdisable 0

dir: local
\tpath /var/lib/vz

vzvault: broken
`;
  const idsFor = (node: string): string[] => storagesOfNode(config, node).map(({ id }) => id);

  it('are those that are neither disabled nor left to other nodes, nor of another type', () => {
    assert.deepEqual(idsFor('node1'), ['everywhere', 'on-again']);
    assert.deepEqual(idsFor('node2'), ['everywhere', 'two', 'on-again']);
    assert.deepEqual(idsFor('node'), ['everywhere', 'on-again']);
  });

  it('come with what is needed to open them', () => {
    assert.deepEqual(storagesOfNode(config, 'node1')[0], {
      ...{ id: 'everywhere', path: '/mnt/nas', isMountpoint: 'yes', encryptionKey: 'a'.repeat(32) },
    });
  });
});
