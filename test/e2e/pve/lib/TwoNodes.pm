package TwoNodes;

# What both nodes of the case 190-two-nodes do, each with a guest of its own: backups that run at
# the same time, and a look at what both have made.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Meanwhile;
use Node;

my $MiB = 1024 * 1024;
my $ROUNDS = 3;

sub run {
    my ($vmid) = @_;

    my ($shared) = $ENV{NODES_SHARED} =~ m/\A(.+)\z/;
    mkdir('/var/lib/vault') or die "mkdir: $!\n";
    system('/bin/mount', '--bind', "$shared/vault", '/var/lib/vault') == 0 or die "mount failed\n";
    storage_cfg();
    start_daemon();
    meet('added') if $ENV{NODE_NAME} eq 'second';
    add_vault('vault', '/var/lib/vault', '--shared', '1');
    meet('added') if $ENV{NODE_NAME} eq 'first';

    # half of the data are the same on both nodes
    my $words = join('', map { pack('N', $_ * 2654435761 % 4294967296) } 1 .. 1_000_000);
    my $own = join('', map { pack('N', ($_ + $vmid) * 2654435769 % 4294967296) } 1 .. 1_000_000);
    my $disk = "/var/lib/vz/images/$vmid/vm-$vmid-disk-0.raw";
    fill($disk, 32 * $MiB, 0 => $words, 8 * $MiB => $own, 16 * $MiB => $words);
    vm($vmid, "memory: 128\nscsi0: local:$vmid/vm-$vmid-disk-0.raw,size=32M\nscsihw: virtio-scsi-pci\n");

    my $history = History->new(vmid => $vmid);
    for my $round (0 .. $ROUNDS) {
        guest_writes('scsi0', ($_ * 4 + $round) % 30 * $MiB, 4096, $vmid) for 0 .. 3;
        meet("round-$round");
        $history->backup(name => "backup $round", args => ['--bwlimit', '8192'],
            modes => $round ? incremental('scsi0') : full('first', 'scsi0'));
        meet("end-of-round-$round");
        $history->check("backup $round");
    }
    my @all = pvesm('list', 'vault') =~ m/^vault:backup\/vzdump-qemu-(\d+)/mg;
    is(scalar(grep { $_ == 100 } @all), $ROUNDS + 1, 'the backups of one guest are listed');
    is(scalar(grep { $_ == 101 } @all), $ROUNDS + 1, 'and those of the other');
    $history->restore(200, 'the last');
    meet('restored');
    nothing_left('in the end');
    meet('end');

    PVEHarness::stop_qemu($vmid);
    finish();
    return;
}

1;
