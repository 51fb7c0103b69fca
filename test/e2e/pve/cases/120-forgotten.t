#!/usr/bin/perl -T

# Backups are removed: the one that QEMU's bitmap counts from makes the next one full, any other
# does not, and no other backup suffers.

use strict;
use warnings;

use Test::More;

use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 24 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=24M\nscsihw: virtio-scsi-pci\n");

my $history = History->new();
my $writes = 0;

sub backup {
    my ($name, $modes) = @_;

    $writes++;
    PVEHarness::guest_write(100, 'scsi0', $writes, $writes * $MiB + 512, 9 * 512);
    $history->backup(name => $name, modes => $modes);
    return;
}

sub free {
    my ($volid) = @_;

    is((pvesm('free', $volid))[1], 0, 'pvesm free');
    $history->forget($volid);
    return;
}

backup('the first', full('first', 'scsi0'));
backup('the second', incremental('scsi0'));
free(($history->volids())[-1]);
backup('the newest removed', full('missing', 'scsi0'));
backup('one more', incremental('scsi0'));
free(($history->volids())[0]);
backup('the oldest removed', incremental('scsi0'));
$history->check('the newest and the oldest removed');
is((vzvault('forget', 'vault', 'qemu/100@latest'))[1], 0, 'vzvault forget');
$history->forget(($history->volids())[-1]);
backup('the newest removed by hand', full('missing', 'scsi0'));
free($_) for $history->volids();
backup('all removed', full('missing', 'scsi0'));
backup('and one on it', incremental('scsi0'));
$history->check('all removed');

# the newest cannot be read any more, which neither the daemon knows yet nor does it after a restart
my $newest = ($history->volids())[-1];
for my $restarts (0, 1) {
    my ($document) = (sort glob('/var/lib/vault/vzvault/snapshots/qemu/100/*/snapshot'))[-1] =~ m/(.*)/;
    truncate($document, 100) or die "$document: $!\n";
    restart_daemon() if $restarts;
    $writes++;
    PVEHarness::guest_write(100, 'scsi0', $writes, $writes * $MiB + 512, 9 * 512);
    $history->backup(name => 'the newest damaged', modes => full('damaged', 'scsi0'));
    is((pvesm('free', $newest))[1], 0, 'the damaged one is removed');
    $history->forget($newest);
    $history->check('the newest damaged');
    $newest = ($history->volids())[-1];
}
backup('the last', incremental('scsi0'));
$history->check('the last');
$history->restore(200, 'the last');
nothing_left('in the end');

PVEHarness::stop_qemu(100);
finish();
