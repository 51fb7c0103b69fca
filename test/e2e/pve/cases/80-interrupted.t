#!/usr/bin/perl -T

# A backup that is stopped leaves nothing, and a restore outlives a restart of the daemon.

use strict;
use warnings;

use Test::More;

use Node;

my $MiB = 1024 * 1024;
my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');
my $DISK = '/var/lib/vz/images/100/vm-100-disk-0.raw';

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
fill($DISK, 48 * $MiB,
    map { $_ * $MiB => pack('N', $_ * 2654435761 % 4294967296) x (256 * 1024) } 0 .. 39);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=48M\nscsihw: virtio-scsi-single\n");

# Runs $code in the background as soon as $ready is true.
sub once {
    my ($ready, $code) = @_;

    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    for (1 .. 600) {
        last if $ready->();
        select(undef, undef, undef, 0.05);
    }
    select(undef, undef, undef, 1);
    $code->();
    POSIX::_exit(0);
}

# The process of a tool, by its arguments.
sub pid_of {
    my ($tool, @args) = @_;

    my $line = join("\0", @args);
    for my $file (glob('/proc/[0-9]*/cmdline')) {
        my $seen = eval { slurp($file) } // next;
        return $1 if $seen =~ m!/\Q$tool\E\0! && index($seen, $line) >= 0 && $file =~ m!/(\d+)/!;
    }
    return;
}

my $nbd = sub { return grep { -S $_ } glob('/run/qemu-server/100.backup-access.*/*') };
my $stopper = once($nbd, sub { kill('TERM', pid_of('vzdump', '100', '--storage')) });
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
my $restarted = once($mounted, sub { stop_daemon(); start_daemon() });
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
