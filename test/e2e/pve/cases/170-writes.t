#!/usr/bin/perl -T

# What a guest writes before, during and after a backup, at every kind of place: a backup holds the
# disk as it was when it began, and an incremental one reads only what QEMU marked.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;
my $IMAGES = '/var/lib/vz/images/100';
my $ODD = 13 * $MiB + 1536;

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault', '--vzvault-chunk-size', '256K');
my $words = join('', map { pack('N', $_ * 2654435761 % 4294967296) } 1 .. 300_000);
fill("$IMAGES/vm-100-disk-0.raw", 48 * $MiB, 5 * $MiB => $words, 48 * $MiB - 3000 => 't' x 3000);
fill("$IMAGES/vm-100-disk-1.raw", $ODD, 0 => 'first', 9 * $MiB => $words, $ODD - 1 => 'z');
fill("$IMAGES/vm-100-disk-2.raw", 540_672, 100 => 'efi variables', 540_671 => 'e');
fill("$IMAGES/vm-100-disk-3.raw", 4 * $MiB, 0 => 'tpm', 2 * $MiB => substr($words, 0, 70_000));
vm(100, <<'EOC');
bios: ovmf
efidisk0: local:100/vm-100-disk-2.raw,size=528K
memory: 128
scsi0: local:100/vm-100-disk-0.raw,size=48M
scsi1: local:100/vm-100-disk-1.raw,size=13314K
scsihw: virtio-scsi-pci
tpmstate0: local:100/vm-100-disk-3.raw,size=4M,version=v2.0
EOC

my $history = History->new();
my @slots = qw(efidisk0 scsi0 scsi1);
my $incremental = { incremental(@slots)->%*, full('tpm', 'tpmstate0')->%* };

# %dirty: what of each drive is to be read, as the log says it
sub backup {
    my ($name, $during, %dirty) = @_;

    my %env = (HARNESS_GUEST_WRITES => join(';', $during->@*));
    my ($output) = $history->backup(name => $name, env => \%env, modes => $incremental);
    like($output, qr/^INFO: drive-$_: 100% \($dirty{$_} dirty of /m, "$name: $dirty{$_} of $_ are read")
        for sort keys %dirty;
    unlike($output, qr/^(?:WARN|ERROR)/m, "$name: without a complaint");
    nothing_left($name);
    return $output;
}

$history->backup(name => 'the first',
    modes => { full('first', @slots)->%*, full('tpm', 'tpmstate0')->%* });
backup('nothing written', [], scsi0 => '0 B', scsi1 => '0 B', efidisk0 => '0 B');
$history->check('nothing written');

guest_writes('scsi0', 20 * $MiB, 512);
backup('one sector', [], scsi0 => '4.00 MiB', scsi1 => '0 B');
guest_writes('scsi0', 24 * $MiB - 512, 1024);
guest_writes('scsi1', 8 * $MiB, 512);
backup('on both sides of a border', [], scsi0 => '8.00 MiB', scsi1 => '4.00 MiB');
guest_writes('scsi0', 48 * $MiB - 512, 512);
guest_writes('scsi0', 0, 512);
guest_writes('scsi1', $ODD - 512, 512);
guest_writes('efidisk0', 540_672 - 512, 512);
backup('the ends', [], scsi0 => '8.00 MiB', scsi1 => '1.00 MiB', efidisk0 => '528 KiB');
$history->check('the ends');

# what was data becomes zero, and is one again
PVEHarness::guest_write(100, 'scsi0', 0, 5 * $MiB, 2 * $MiB);
backup('data become zero', [], scsi0 => '4.00 MiB');
guest_writes('scsi0', 6 * $MiB, 4096);
backup('and data again', []);
guest_writes('scsi0', 0, 48 * $MiB);
backup('all of a disk', [], scsi0 => '48.0 MiB');
$history->check('zeroes');

# meanwhile: in what is read, beside it, over all of it, and in what no bitmap marks yet
guest_writes('scsi0', 16 * $MiB, 8 * $MiB);
my @during = (
    'scsi0 201 ' . 16 * $MiB . ' 4096',
    'scsi0 202 ' . 20 * $MiB . ' ' . 4 * $MiB,
    'scsi0 203 ' . 36 * $MiB . ' 512',
    'scsi1 204 0 ' . $MiB,
    'efidisk0 205 512 1024',
);
backup('written meanwhile', \@during, scsi0 => '8.00 MiB', scsi1 => '0 B', efidisk0 => '0 B');
$history->check('written meanwhile');
guest_writes('scsi0', 40 * $MiB, 512);
backup('and after it', [], scsi0 => '16.0 MiB', scsi1 => '4.00 MiB', efidisk0 => '528 KiB');
backup('meanwhile where nothing is read', ['scsi0 206 0 ' . 24 * $MiB], scsi0 => '0 B');
backup('and then', [], scsi0 => '24.0 MiB');

# the bitmap serves both mechanisms
my ($other) = grep { $_ ne mechanism() } qw(nbd file-handle);
is((pvesm('set', 'vault', '--vzvault-vm-mechanism', $other))[1], 0, "from now on with $other");
guest_writes('scsi0', 44 * $MiB, 512);
my $output = backup('the other mechanism', [], scsi0 => '4.00 MiB', scsi1 => '0 B');
like($output, qr/using backup mechanism '$other'/, 'is what is used');
$history->check('and after it');
$history->restore(200, 'the last');

PVEHarness::stop_qemu(100);
finish();
