#!/usr/bin/perl -T

# Disks of a running VM are resized, added, removed, detached and attached again, replaced and moved
# to another storage: each drive is incremental exactly where its bitmap tells all, and the others
# do not suffer.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;
my $IMAGES = '/var/lib/vz/images/100';

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill("$IMAGES/vm-100-disk-$_.raw", 16 * $MiB, $_ * $MiB => "data $_ " x 100_000) for 0 .. 3;
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=16M\n"
    . "scsi1: local:100/vm-100-disk-1.raw,size=16M\nscsihw: virtio-scsi-pci\n");

my $history = History->new();

sub backup {
    my ($name, $modes) = @_;

    $history->backup(name => $name, modes => $modes);
    nothing_left($name);
    return;
}

sub qm_does {
    my (@command) = @_;

    return is((qm(@command))[1], 0, "qm @command");
}

backup('the first', full('first', 'scsi0', 'scsi1'));
guest_writes('scsi0', 5 * $MiB, 512);
guest_writes('scsi1', 6 * $MiB, 512);
backup('as it is', incremental('scsi0', 'scsi1'));

# resized: QEMU keeps the bitmap, and the new end counts as clean in it
guest_writes('scsi0', 7 * $MiB, 512);
qm_does('resize', 100, 'scsi0', '+5M');
guest_writes('scsi0', 20 * $MiB, 4096);
backup('resized', { full('resized', 'scsi0')->%*, incremental('scsi1')->%* });
guest_writes('scsi0', 20 * $MiB + 4096, 4096);
backup('after it was resized', incremental('scsi0', 'scsi1'));

# added
qm_does('set', 100, '--scsi2', 'local:100/vm-100-disk-2.raw');
guest_writes('scsi2', 9 * $MiB, 512);
backup('added', { full('disk', 'scsi2')->%*, incremental('scsi0', 'scsi1')->%* });
guest_writes('scsi2', 10 * $MiB, 512);
backup('after it was added', incremental('scsi0', 'scsi1', 'scsi2'));

# detached, written elsewhere meanwhile, and attached again
qm_does('set', 100, '--delete', 'scsi1');
fill("$IMAGES/vm-100-disk-1.raw", 16 * $MiB, 3 * $MiB => 'written elsewhere ' x 10_000);
qm_does('set', 100, '--scsi1', 'local:100/vm-100-disk-1.raw');
backup('attached again', { full('lost', 'scsi1')->%*, incremental('scsi0', 'scsi2')->%* });
guest_writes('scsi1', 11 * $MiB, 512);
backup('after it was attached again', incremental('scsi0', 'scsi1', 'scsi2'));

# another disk of the same size in its place
qm_does('set', 100, '--delete', 'scsi1');
qm_does('set', 100, '--scsi1', 'local:100/vm-100-disk-3.raw');
backup('replaced', { full('lost', 'scsi1')->%*, incremental('scsi0', 'scsi2')->%* });
$history->check('disks that come and go');

# gone for one backup
qm_does('set', 100, '--delete', 'scsi2');
backup('removed', incremental('scsi0', 'scsi1'));
qm_does('set', 100, '--scsi2', 'local:100/vm-100-disk-2.raw');
backup('back', { full('disk', 'scsi2')->%*, incremental('scsi0', 'scsi1')->%* });

# moved while it runs; the new place has no bitmap
guest_writes('scsi0', 12 * $MiB, 512);
qm_does('move-disk', 100, 'scsi0', 'target', '--format', 'raw');
guest_writes('scsi0', 13 * $MiB, 512);
backup('moved', { full('lost', 'scsi0')->%*, incremental('scsi1', 'scsi2')->%* });
guest_writes('scsi0', 14 * $MiB, 512);
backup('after it was moved', incremental('scsi0', 'scsi1', 'scsi2'));

# left out by configuration, and taken in again
PVE::Tools::file_set_contents('/etc/pve/qemu-server/100.conf',
    slurp('/etc/pve/qemu-server/100.conf') =~ s/^(scsi2: .*)$/$1,backup=0/mr);
$history->{excluded} = { 'drive-scsi2' => 1 };
backup('left out', incremental('scsi0', 'scsi1'));
PVE::Tools::file_set_contents('/etc/pve/qemu-server/100.conf',
    slurp('/etc/pve/qemu-server/100.conf') =~ s/,backup=0//r);
$history->{excluded} = {};
guest_writes('scsi2', 15 * $MiB, 512);
backup('taken in again', { full('disk', 'scsi2')->%*, incremental('scsi0', 'scsi1')->%* });

$history->check('in the end');
$history->restore(200, 'the last');
PVEHarness::stop_qemu(100);
finish();
