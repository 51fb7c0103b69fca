#!/usr/bin/perl -T

# What PVE does after a backup was committed fails: protecting it, pruning older ones, writing
# notes. The backup stays, and since QEMU's bitmap has moved on, the next one must build on it.

use strict;
use warnings;

use List::Util qw(first);
use Test::More;
use Time::HiRes ();

use History;
use Leftovers;
use Meanwhile;
use Node;

my $MiB = 1024 * 1024;
my $SNAPSHOTS = '/var/lib/vault/vzvault/snapshots/qemu/100';

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 24 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nname: kept\nscsi0: local:100/vm-100-disk-0.raw,size=24M\nscsihw: virtio-scsi-pci\n");

my $history = History->new();
my $writes = 0;

sub guest_writes {
    $writes++;
    return PVEHarness::guest_write(100, 'scsi0', $writes, $writes * $MiB + 512, 9 * 512);
}

sub read_only {
    my ($directory) = @_;

    for my $options (['--bind', $directory, $directory], ['-o', 'remount,ro,bind', $directory]) {
        system('/bin/mount', $options->@*) == 0 or die "mount failed\n";
    }
    return;
}

sub snapshots { return map { m/\A(.+)\z/ } grep { -e "$_/snapshot" } glob("$SNAPSHOTS/*") }
sub segments { return glob('/var/lib/vault/vzvault/index/*') }

# From its commit on the directory of the next snapshot cannot be written. PVE is stopped a little
# earlier, when all data are stored, and goes on then. Returns the process that sees to it.
sub read_only_from_commit {
    my ($segments, %old) = (scalar(my @all = segments()), map { $_ => 1 } snapshots());

    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    my $vzdump = wait_until(20, sub { worker('vzdump') });
    my $until = Time::HiRes::time() + 20;
    Time::HiRes::usleep(100) while (@all = segments()) == $segments && Time::HiRes::time() < $until;
    kill('STOP', $vzdump) if $vzdump;
    my $new = wait_until(20, sub { return first { !$old{$_} } snapshots() });
    eval { read_only($new); 1 } or print STDERR "# $@";
    kill('CONT', $vzdump) if $vzdump;
    POSIX::_exit(0);
}

# What PVE does next after the commit fails. It can still be faster, so there is more than one
# attempt.
sub backup_that_cannot_be_changed {
    my ($what, $says, %options) = @_;

    for my $attempt (1 .. 5) {
        guest_writes();
        my $watcher = read_only_from_commit();
        my ($output) = $history->backup(name => $what, commits => 1, %options);
        waitpid($watcher, 0);
        system('/bin/umount', (snapshots())[-1]);
        nothing_left($what);
        return pass("$what: says so") if $output =~ $says;
    }
    return fail("$what: never failed");
}

$history->backup(name => 'the first', modes => full('first', 'scsi0'));
my $incremental = incremental('scsi0');

# pruning: the oldest cannot be removed
my ($oldest) = snapshots();
read_only($oldest);
my @prune = ('--prune-backups', 'keep-last=1');
my $cannot = qr/^ERROR: Backup of VM 100 failed - error pruning backups/m;
for my $n (1, 2) {
    guest_writes();
    $history->backup(name => "pruning, $n", args => \@prune, fails => $cannot, commits => 1,
        modes => $incremental);
    nothing_left("pruning, $n");
}
$history->forget(($history->volids())[1]); # which could be removed
$history->check('pruning fails');
system('/bin/umount', $oldest) == 0 or die "umount failed\n";

backup_that_cannot_be_changed('protecting', qr/ unable to set protected flag - [^\n]*\(E_/,
    args => ['--protected', '1'], may_fail => 1, modes => $incremental);
backup_that_cannot_be_changed('notes', qr/^WARN: unable to add notes - [^\n]*\(E_/m,
    args => ['--notes-template', '{{guestname}}'], modes => $incremental);

guest_writes();
$history->backup(name => 'after all that', modes => $incremental);
$history->check('after all that');
$history->restore(200, 'the last backup');

PVEHarness::stop_qemu(100);
finish();
