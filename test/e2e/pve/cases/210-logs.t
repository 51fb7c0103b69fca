#!/usr/bin/perl -T

# The task log of each guest is kept with its snapshot, PVE's lines and ours in order; whatever is
# wrong with the log file, the job succeeds. And a job of several guests, of which one fails.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;
my $HOOK = '/var/tmp/hook';
my @vzdump = ('--storage', 'vault', '--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
for my $vmid (100 .. 102) {
    fill("/var/lib/vz/images/$vmid/vm-$vmid-disk-0.raw", 8 * $MiB, $MiB => "data of $vmid " x 10_000);
    vm($vmid, "memory: 128\nname: guest$vmid\nscsi0: local:$vmid/vm-$vmid-disk-0.raw,size=8M\n"
        . "scsihw: virtio-scsi-pci\n");
}

sub log_of {
    my ($vmid) = @_;

    my ($output, $code) = vzvault('show', 'vault', "qemu/$vmid\@latest", '--log');
    return $code == 0 ? $output : undef;
}

# Whether these come in this order, each in a line of its own.
sub in_order {
    my ($text, $name, @patterns) = @_;

    my @missing;
    for my $re (@patterns) {
        push @missing, $re if $text !~ m/\G.*?^[^\n]*$re[^\n]*$/gcms;
    }
    return ok(!@missing, $name) || diag("missing: @missing in:\n$text");
}

# three guests, one without its disk
rename('/var/lib/vz/images/101/vm-101-disk-0.raw', '/var/tmp/away') or die "rename: $!\n";
my ($output, $code) = vzdump(100, 101, 102, @vzdump);
isnt($code, 0, 'a job of which one guest fails is a failure');
like($output, qr/^ERROR: Backup of VM 101 failed - /m, 'which says so');
like($output, qr/^INFO: Finished Backup of VM $_ /m, "guest $_ is backed up") for 100, 102;
my @listed = sort(pvesm('list', 'vault') =~ m/^vault:backup\/vzdump-qemu-(\d+)/mg);
is_deeply(\@listed, [100, 102], 'and listed');
for my $vmid (100, 102) {
    my $log = log_of($vmid) // '';
    in_order($log, "the log of guest $vmid is whole",
        "Starting Backup of VM $vmid", 'status = running', "creating vzvault archive 'vzdump-qemu-$vmid-",
        'starting external backup via vzvault', 'drive-scsi0: .* mode full', 'drive-scsi0: 100%',
        'transferred ', 'tearing down backup-access', "Finished Backup of VM $vmid");
    my @mode = $log =~ m/mode full/g;
    is(scalar(@mode), 1, 'with every line once');
    my $others = join('|', grep { $_ != $vmid } 100 .. 102);
    unlike($log, qr/(?:guest|VM )(?:$others)/, 'and nothing of the others');
}
rename('/var/tmp/away', '/var/lib/vz/images/101/vm-101-disk-0.raw') or die "rename: $!\n";
is((vzdump(101, @vzdump))[1], 0, 'the next job of the one that failed succeeds');
nothing_left('several guests');

# a hook that fails after the commit: the log tells of the failure
my $history = History->new(vmid => 100, args => ['--script', $HOOK]);
sub hook {
    my ($phase, $script) = @_;

    spew($HOOK, "#!/bin/sh\n[ \"\$1\" = $phase ] || exit 0\nlog=/var/log/vzdump/qemu-100.log\n$script\n");
    chmod(0755, $HOOK) or die "chmod: $!\n";
    return;
}
hook('backup-end', 'exit 1');
my ($earlier) = pvesm('list', 'vault', '--vmid', 100) =~ m/^(vault:\S+)/m;
is((pvesm('free', $earlier))[1], 0, 'the earlier one is removed');
guest_writes('scsi0', 2 * $MiB, 512);
$history->backup(name => 'a hook that fails', fails => qr/\Q$HOOK\E/, commits => 1);
in_order(log_of(100) // '', 'the log tells of the failure', 'drive-scsi0: .* mode full',
    'Backup of VM 100 failed');

# whatever lies where the log should be
my %broken = (
    'no log' => 'rm $log',
    'a directory' => 'rm $log; mkdir $log',
    'a link to itself' => 'rm $log; ln -s $log $log',
    'no right to read it' => 'chmod 0 $log',
    'a log that is empty' => ': > $log',
    'bytes that are no text' => 'head -c 100000 /dev/urandom >> $log',
    'a log without end' => 'yes "a line that is written again and again" | head -c 20000000 >> $log',
);
for my $name (sort keys %broken) {
    hook('backup-end', $broken{$name});
    guest_writes('scsi0', 3 * $MiB, 512);
    my ($output) = $history->backup(name => $name, modes => incremental('scsi0'));
    like($output, qr/^INFO: Backup job finished successfully$/m, "$name: the job succeeds");
    log_of(100); # whatever it is
    system('/bin/rm', '-rf', '/var/log/vzdump/qemu-100.log');
}
hook('none', 'exit 0');
guest_writes('scsi0', 4 * $MiB, 512);
$history->backup(name => 'as ever', modes => incremental('scsi0'));
in_order(log_of(100) // '', 'the log is kept again', 'Starting Backup of VM 100', 'mode incremental',
    'Finished Backup of VM 100');
$history->check('in the end');
nothing_left('in the end');

PVEHarness::stop_qemu($_) for 100 .. 102;
finish();
