#!/usr/bin/perl -T

# A backup whose processes are stopped or killed, one after the other: vzdump's worker, vzdump as a
# whole, the daemon, QEMU. Nothing half-done is listed, and the next backup holds all that the guest
# wrote.

use strict;
use warnings;

use Test::More;

use History;
use Killed;
use Leftovers;
use Meanwhile;
use Node;

my $MiB = 1024 * 1024;

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 40 * $MiB, $MiB => 'data' x 100_000);
fill('/var/lib/vz/images/100/vm-100-disk-1.raw', 8 * $MiB, $MiB => 'more' x 100_000);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=40M\n"
    . "scsi1: local:100/vm-100-disk-1.raw,size=8M\nscsihw: virtio-scsi-pci\n");

my $history = History->new();
my ($writes, $daemon_killed) = (0, 0);
my $KiB_PER_SECOND = 4096;

# Some 3 s of work at that rate, the last of it on the second disk.
sub guest_writes {
    $writes++;
    PVEHarness::guest_write(100, 'scsi0', $writes, 4 * $MiB * ($writes % 5), 12 * $MiB);
    PVEHarness::guest_write(100, 'scsi1', $writes, 5 * $MiB, 512 * $writes);
    return;
}

# A second after the daemon began to read the disks.
sub in_the_middle {
    my ($code) = @_;

    return once(sub { is_being_read(100) }, $code, 1);
}

sub interrupted {
    my ($name, $code, %options) = @_;

    guest_writes();
    my $helper = in_the_middle($code);
    my ($output) = $history->backup(name => $name, args => ['--bwlimit', $KiB_PER_SECOND], %options);
    waitpid($helper, 0);
    like($output, qr/^INFO: drive-scsi0: .* mode /m, "$name: the disks were being read");
    return $output;
}

sub next_backup {
    my ($name, $modes) = @_;

    nothing_left($name, $daemon_killed) if $name !~ m/vzdump/;
    PVEHarness::guest_write(100, 'scsi0', 200 + $writes, 39 * $MiB + 512 * $writes, 512);
    my ($output) = $history->backup(name => "after $name", modes => $modes);
    unlike($output, qr/^(?:WARN|ERROR)/m, "after $name: without a complaint") if $name !~ m/vzdump/;
    nothing_left("after $name", $daemon_killed);
    $history->check("after $name");
    return;
}

$history->backup(name => 'the first', modes => full('first', 'scsi0', 'scsi1'));
my $incremental = incremental('scsi0', 'scsi1');

my $output = interrupted('a worker that is stopped', sub { kill('TERM', worker('vzdump')) },
    fails => qr/^ERROR: Backup of VM 100 failed - interrupted by signal$/m);
unlike($output, qr/\(E_/, 'a worker that is stopped: PVE alone says so');
next_backup('a worker that is stopped', $incremental);

interrupted('a worker of vzdump that is killed', sub { kill_vzdump(worker('vzdump')) },
    fails => qr/./);
tidy_up();
next_backup('a worker of vzdump that is killed', $incremental);

interrupted('all of vzdump killed',
    sub { kill_vzdump(worker('vzdump'), process(qr!/vzdump 100 !)) },
    fails => qr/./);
tidy_up();
next_backup('all of vzdump killed', $incremental);

$output = interrupted('a daemon that is killed', sub { kill('KILL', daemon_pid()) },
    fails => qr/^ERROR: Backup of VM 100 failed - [^\n]*\(E_(?:CONNECTION_LOST|FRAME_TORN): /m);
unlike($output, qr/^WARN:/m, 'a daemon that is killed: without further complaints');
restart_daemon();
$daemon_killed = 1;
next_backup('a daemon that is killed', $incremental);

$output = interrupted('a daemon that stops', sub { kill('TERM', daemon_pid()) },
    fails => qr/^ERROR: Backup of VM 100 failed - [^\n]*\(E_[A-Z_]+: /m);
restart_daemon();
next_backup('a daemon that stops', $incremental);

my ($qemu) = slurp('/run/qemu-server/100.pid') =~ m/(\d+)/;
$output = interrupted('QEMU killed', sub { kill('KILL', $qemu) },
    fails => qr/^ERROR: [^\n]*\(E_SOURCE_[A-Z]+: /m); # then PVE fails to clean up
PVEHarness::start_qemu(100);
next_backup('QEMU killed', full('restarted', 'scsi0', 'scsi1'));

$history->restore(200, 'the last');
PVEHarness::stop_qemu(100);
finish();
