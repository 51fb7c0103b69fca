#!/usr/bin/perl -T

# Room runs out in the middle of a backup: for the fleecing image, so that the disk as it was cannot
# be read any more, and in the repository. The guest does not notice, and the next backup holds all
# that it wrote.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;

sub tmpfs {
    my ($path, $options) = @_;

    mkdir($path);
    system('/bin/mount', '-t', 'tmpfs', '-o', $options, 'tmpfs', $path) == 0 or die "mount failed\n";
    return;
}

storage_cfg("dir: tiny\n\tpath /var/lib/tiny\n\tcontent images\n");
tmpfs('/var/lib/tiny', 'size=5m');
tmpfs('/var/lib/vault', 'size=200m');
start_daemon();
add_vault('vault', '/var/lib/vault', '--is_mountpoint', '1');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 32 * $MiB);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=32M\nscsihw: virtio-scsi-pci\n");
guest_writes_noise('scsi0', 0, 30 * $MiB);

my $history = History->new();
my $unreadable = qr/^ERROR: Backup of VM 100 failed - [^\n]*\(E_SOURCE_READ: /m;
my $no_space = qr/^ERROR: Backup of VM 100 failed - [^\n]*\(E_NO_SPACE: /m;
my $incremental = incremental('scsi0');

# While the backup runs the guest writes over 12 MiB that are yet to be read, which have to go to
# the fleecing image before.
sub fleecing_fails {
    my ($name, $modes) = @_;

    my %writes = (HARNESS_GUEST_WRITES => 'scsi0 77 ' . 8 * $MiB . ' ' . 12 * $MiB);
    my ($output) = $history->backup(name => $name, fleecing => 'tiny', env => \%writes, fails => $unreadable,
        modes => $modes);
    unlike($output, qr/^WARN/m, "$name: without further complaints");
    nothing_left($name);
    $history->check($name) if $history->volids();
    return;
}

fleecing_fails('no room for fleecing, in full', full('first', 'scsi0'));
$history->backup(name => 'with room', modes => full('first', 'scsi0'));
guest_writes_noise('scsi0', 4 * $MiB, 20 * $MiB);
fleecing_fails('no room for fleecing, incremental', $incremental);
guest_writes('scsi0', 29 * $MiB, 512);
$history->backup(name => 'with room again', modes => $incremental);
nothing_left('with room again');
$history->check('with room again');

# the repository
my ($used) = `/bin/du -sk /var/lib/vault` =~ m/\A(\d+)/;
tmpfs('/var/lib/vault', 'remount,size=' . ($used + 4096) . 'k');
guest_writes_noise('scsi0', 2 * $MiB, 16 * $MiB);
for my $attempt (1, 2) {
    my ($output) = $history->backup(name => "a full repository, $attempt", fails => $no_space,
        modes => $incremental);
    unlike($output, qr/^WARN/m, 'a full repository: without further complaints');
    nothing_left("a full repository, $attempt");
}
$history->check('a full repository');
tmpfs('/var/lib/vault', 'remount,size=400m');
guest_writes('scsi0', 31 * $MiB, 512);
$history->backup(name => 'room again', modes => $incremental);
$history->check('room again');
$history->restore(200, 'the last');

PVEHarness::stop_qemu(100);
finish();
