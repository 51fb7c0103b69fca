#!/usr/bin/perl -T

# A VM is off, paused, suspended, restarted, rolled back to a snapshot with memory, destroyed and
# made anew: a bitmap is used only where the process of QEMU is the one in which it was cleared.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;
my $DISK = '/var/lib/vz/images/100/vm-100-disk-0.raw';
my $CONFIG = "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=24M\nscsihw: virtio-scsi-pci\n";

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill($DISK, 24 * $MiB, $MiB => 'data' x 100_000);
vm(100, $CONFIG);

my $history = History->new();
my $incremental = incremental('scsi0');
my $restarted = full('restarted', 'scsi0');

sub backup {
    my ($name, $modes, @args) = @_;

    my ($output) = $history->backup(name => $name, modes => $modes, args => \@args);
    unlike($output, qr/^(?:WARN|ERROR)/m, "$name: without a complaint");
    nothing_left($name);
    return $output;
}

backup('the first', full('first', 'scsi0'));
guest_writes('scsi0', 5 * $MiB, 512);
backup('as it runs', $incremental);

# off and on
PVEHarness::stop_qemu(100);
PVEHarness::start_qemu(100);
guest_writes('scsi0', 9 * $MiB, 512);
backup('restarted', $restarted);
guest_writes('scsi0', 10 * $MiB, 512);
backup('as it runs again', $incremental);
$history->check('restarted');

# paused by its owner
is((qm('suspend', 100))[1], 0, 'qm suspend');
my $output = backup('paused', $incremental);
unlike($output, qr/resuming VM/, 'a paused VM stays so');
is(PVE::QemuServer::vm_is_paused(100, 0), 1, 'also afterwards');
is((qm('resume', 100))[1], 0, 'qm resume');
guest_writes('scsi0', 11 * $MiB, 512);

# the other two modes of a job; in mode stop it is QEMU that is started anew
backup('mode suspend', $incremental, '--mode', 'suspend');
guest_writes('scsi0', 12 * $MiB, 512);
backup('mode stop', $restarted, '--mode', 'stop');
guest_writes('scsi0', 13 * $MiB, 512);
backup('after mode stop', $incremental);
$history->check('the modes of a job');

# off: vzdump starts QEMU for the time of the backup
PVEHarness::stop_qemu(100);
$output = backup('off', $restarted);
like($output, qr/starting kvm to execute backup task/, 'a VM that is off is started');
ok(!PVE::QemuServer::Helpers::vm_running_locally(100), 'and stopped again');
backup('off still', $restarted);
PVEHarness::start_qemu(100);
guest_writes('scsi0', 14 * $MiB, 512);
backup('on again', $restarted);
$history->check('off');

# rolled back to a snapshot with memory, which brings the clean bitmap of then back
system('/bin/cp', '--sparse=always', $DISK, "$DISK.then") == 0 or die "cp failed\n";
my $saved = save_to(100, '/var/tmp/memory');
resume_from($saved);
is(bitmap_count(100, 'vault'), 0, 'a bitmap outlives the process of QEMU');
guest_writes('scsi0', 15 * $MiB, 512);
backup('saved and resumed', $restarted);
guest_writes('scsi0', 16 * $MiB, 4096);
backup('before the rollback', $incremental);
PVEHarness::stop_qemu(100);
system('/bin/cp', '--sparse=always', "$DISK.then", $DISK) == 0 or die "cp failed\n";
resume_from($saved);
is(bitmap_count(100, 'vault'), 0, 'the bitmap of then is back, and clean');
backup('rolled back', $restarted);
guest_writes('scsi0', 17 * $MiB, 512);
backup('after the rollback', $incremental);
$history->check('rolled back');
unlink("$DISK.then", '/var/tmp/memory');

# another VM under the same id
PVEHarness::stop_qemu(100);
is((qm('destroy', 100))[1], 0, 'qm destroy');
ok(!-e $DISK, 'and its disk is gone');
fill($DISK, 24 * $MiB, 3 * $MiB => 'another' x 100_000);
vm(100, $CONFIG);
backup('made anew', $restarted);
guest_writes('scsi0', 18 * $MiB, 512);
backup('the last', $incremental);
$history->check('made anew');
$history->restore(200, 'the last');

PVEHarness::stop_qemu(100);
finish();
