#!/usr/bin/perl -T

# Containers are refused clearly, and do not keep the VMs of the same job from being backed up.

use strict;
use warnings;

use Test::More;

use Node;

my $MiB = 1024 * 1024;

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
spew('/var/lib/vz/images/101/subvol-101-disk-0.subvol/etc/hostname', "ct\n");
spew('/etc/pve/lxc/101.conf', <<'EOC');
arch: amd64
hostname: ct
memory: 128
ostype: unmanaged
rootfs: local:101/subvol-101-disk-0.subvol,size=0T
EOC
fill('/var/lib/vz/images/102/vm-102-disk-0.raw', 8 * $MiB, 0 => 'data');
vm(102, "memory: 128\nscsi0: local:102/vm-102-disk-0.raw,size=8M\nscsihw: virtio-scsi-single\n");

my ($output, $code) = vzdump(101, 102, '--storage', 'vault', '--mode', 'stop',
    '--fleecing', 'enabled=1,storage=local');
isnt($code, 0, 'a job with a container fails');
my @lines = $output =~ m/^(ERROR: Backup of VM 101 failed - .*)$/mg;
is(scalar(@lines), 1, 'the container has one line');
like($lines[0] // '', qr/\(E_UNSUPPORTED: /, 'which says that it is not supported');
like($output, qr/^INFO: Finished Backup of VM 102/m, 'the VM is backed up')
    || diag(daemon_log());
my @list = pvesm('list', 'vault') =~ m/^vault:backup\/(vzdump-\w+-\d+)/mg;
is_deeply(\@list, ['vzdump-qemu-102'], 'and it alone is listed');

PVEHarness::stop_qemu(102);
finish();
