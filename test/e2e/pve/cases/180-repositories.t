#!/usr/bin/perl -T

# A storage that leads to another repository and back, one that is removed and added again, a
# repository that is restored from an older copy, and two storages on one repository: a bitmap
# counts only from the backup through which it was cleared, and only where that is still there.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;

storage_cfg();
start_daemon();
add_vault('other', '/var/lib/vault2');
add_vault('vault', '/var/lib/vault1');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 24 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=24M\nscsihw: virtio-scsi-pci\n");

# What is in each of the two repositories, through whatever storage.
my ($first, $second) = (History->new(), History->new());
my $incremental = incremental('scsi0');
my $writes = 0;

sub backup {
    my ($history, $name, $modes) = @_;

    guest_writes('scsi0', $writes++ % 20 * $MiB + 512, 4096);
    $history->backup(name => $name, modes => $modes);
    nothing_left($name);
    return;
}

sub lead_to {
    my ($path) = @_;

    my $cfg = slurp('/etc/pve/storage.cfg') =~ s!^(vzvault: vault\n\tpath )\S+!$1$path!mr;
    PVE::Tools::file_set_contents('/etc/pve/storage.cfg', $cfg);
    PVE::Cluster::cfs_update();
    return;
}

backup($first, 'the first', full('first', 'scsi0'));
backup($first, 'the second', $incremental);

# another path in storage.cfg, and back
lead_to('/var/lib/vault2');
backup($second, 'another repository', full('repository', 'scsi0'));
backup($second, 'another repository again', $incremental);
$second->check('another repository');
lead_to('/var/lib/vault1');
backup($first, 'back again', full('repository', 'scsi0'));
backup($first, 'back to stay', $incremental);
$first->check('back again');

# removed and added with pvesm; between the two there could have been a storage of another kind
is((pvesm('remove', 'vault'))[1], 0, 'pvesm remove');
add_vault('vault', '/var/lib/vault1');
backup($first, 'removed and added', full('first', 'scsi0'));
backup($first, 'removed and added, the next', $incremental);
$first->check('removed and added');

# the repository as it was before the newest backup
for my $restarts (0, 1) {
    my $name = 'an older copy' . ($restarts ? ' under a stopped daemon' : '');
    system('/bin/cp', '-a', '/var/lib/vault1/vzvault', '/var/tmp/copy') == 0 or die "cp failed\n";
    backup($first, "$name: one more", $incremental);
    stop_daemon() if $restarts;
    system('/bin/rm', '-rf', '/var/lib/vault1/vzvault') == 0 or die "rm failed\n";
    rename('/var/tmp/copy', '/var/lib/vault1/vzvault')
        or system('/bin/mv', '/var/tmp/copy', '/var/lib/vault1/vzvault') == 0
        or die "mv failed\n";
    start_daemon() if $restarts;
    $first->forget(($first->volids())[-1]);
    backup($first, $name, full('missing', 'scsi0'));
    backup($first, "$name, the next", $incremental);
    $first->check($name);
}

# a second storage on the same repository has a bitmap of its own
lead_to('/var/lib/vault2');
backup($second, 'through the first storage', full('repository', 'scsi0'));
$second->{storage} = 'other';
backup($second, 'through the second', full('first', 'scsi0'));
$second->{storage} = 'vault';
backup($second, 'through the first again', $incremental);
$second->{storage} = 'other';
backup($second, 'through the second again', $incremental);
$second->check('two storages');
$second->restore(200, 'the last');

PVEHarness::stop_qemu(100);
finish();
