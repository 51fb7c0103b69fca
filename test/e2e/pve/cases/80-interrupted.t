#!/usr/bin/perl -T

# A backup that is stopped leaves nothing, and a restore outlives a restart of the daemon.

use strict;
use warnings;

use Test::More;

use Meanwhile;
use Node;

my $MiB = 1024 * 1024;
my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');
my $DISK = '/var/lib/vz/images/100/vm-100-disk-0.raw';

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill($DISK, 48 * $MiB,
    map { $_ * $MiB => pack('N', $_ * 2654435761 % 4294967296) x (256 * 1024) } 0 .. 39);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=48M\nscsihw: virtio-scsi-single\n");

my $is_read = sub { is_being_read(100) };
my $stopper = once($is_read, sub { kill('TERM', process(qr!/vzdump 100 !)) }, 1);
my ($output, $code) = vzdump(100, '--storage', 'vault', @fleecing, '--bwlimit', '4096');
waitpid($stopper, 0);
isnt($code, 0, 'a backup that is stopped fails');
like($output, qr/^ERROR: Backup of VM 100 failed - interrupted by signal$/m, 'as PVE says it');
unlike($output, qr/E_[A-Z]+/, 'and nothing else');
unlike(pvesm('list', 'vault'), qr/^vault:/m, 'nothing is listed');

($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
is($code, 0, 'the next backup succeeds') || diag(daemon_log());
my ($volid) = pvesm('list', 'vault') =~ m/^(vault:\S+)/m;

my $mounted = sub { return slurp('/proc/mounts') =~ m!/run/vzvault/mounts! };
my $restarted = once($mounted, sub { restart_daemon() }, 1);
($output, $code) = qmrestore($volid, 200, '--storage', 'target', '--bwlimit', '8192');
waitpid($restarted, 0);
is($code, 0, 'a restore goes on while the daemon restarts') || diag(daemon_log());
unlike($output, qr/^(?:WARN|ERROR)/m, 'without a warning');
same_disk($DISK, '/var/lib/target/images/200/vm-200-disk-0.raw', 'byte for byte');
for (1 .. 200) {
    last if !$mounted->();
    select(undef, undef, undef, 0.1);
}
ok(!$mounted->(), 'and its mount is gone in the end');

PVEHarness::stop_qemu(100);
finish();
