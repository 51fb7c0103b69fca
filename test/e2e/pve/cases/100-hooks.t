#!/usr/bin/perl -T

# A hook script that fails, in every phase: whatever PVE makes of it, what was committed stays, what
# was not is not listed, and the next backup is right.

use strict;
use warnings;

use Test::More;

use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;
my $HOOK = '/var/tmp/hook';

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 24 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nname: hooked\nscsi0: local:100/vm-100-disk-0.raw,size=24M\n"
    . "scsihw: virtio-scsi-pci\n");

spew($HOOK, <<'EOS');
#!/bin/sh
echo "$1" >> /var/tmp/called
! grep -qx "$1" /var/tmp/failing
EOS
chmod(0755, $HOOK) or die "chmod: $!\n";

my $history = History->new(args => ['--script', $HOOK]);
my $writes = 0;

# The guest writes, and a backup runs whose hook script fails in these phases.
sub backup_with {
    my ($phases, %options) = @_;

    my $name = join(' and ', $phases->@*) || 'no phase';
    spew('/var/tmp/failing', join('', map { "$_\n" } $phases->@*));
    spew('/var/tmp/called', '');
    $writes++;
    PVEHarness::guest_write(100, 'scsi0', $writes, $writes * $MiB + 512, 9 * 512);
    my $failed = $options{succeeds} ? {} : { fails => qr/\Q$HOOK\E/ };
    my ($output) = $history->backup(name => $name, $failed->%*, %options);
    like(slurp('/var/tmp/called'), qr/^\Q$_\E$/m, "$_: the script was called") for $phases->@*;
    unlike($output, qr/\(E_/, "$name: without a complaint of ours");
    nothing_left($name);
    return;
}

my $incremental = incremental('scsi0');
backup_with([], succeeds => 1, modes => full('first', 'scsi0'));

# before the guest's disks are read: nothing is committed, and QEMU still knows all that changed
backup_with([$_]) for qw(job-init job-start backup-start pre-stop pre-restart post-restart);
$history->check('hooks before the backup');
backup_with([], succeeds => 1, modes => $incremental);
$history->check('the backup after them');

# after it: it is committed, although PVE calls it a failure
backup_with(['backup-end'], commits => 1, modes => $incremental);
backup_with([], succeeds => 1, modes => $incremental);
backup_with(['log-end'], succeeds => 1, modes => $incremental);
backup_with(['job-end'], commits => 1, modes => $incremental);
$history->check('hooks after the backup');

# in mode stop the guest is stopped and started again between them
my @stop = ('--mode', 'stop');
backup_with(['pre-stop'], args => \@stop);
for my $phase (qw(pre-restart post-restart)) {
    backup_with([$phase], args => \@stop, succeeds => 1, modes => full('restarted', 'scsi0'));
    ok(PVE::QemuServer::Helpers::vm_running_locally(100), "$phase in mode stop: the guest runs again");
}

# while another failure is dealt with
backup_with(['backup-start', 'backup-abort']);
backup_with(['job-end', 'job-abort'], commits => 1, modes => $incremental);
backup_with([], succeeds => 1, modes => $incremental);
$history->check('hooks that fail twice');
$history->restore(200, 'the last backup');
nothing_left('the restore');

PVEHarness::stop_qemu(100);
finish();
