#!/usr/bin/perl -T

# The daemon is killed at every named point of a backup and of a restore, then started again:
# nothing that is listed is half-done, and the next backup and the next restore are right without
# hands.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Node;

my $MiB = 1024 * 1024;
my ($SOURCE) = __FILE__ =~ m!\A(.+)/test/e2e/pve/cases/!;
my @native = slurp("$SOURCE/native/core/base/crash_point.h") =~ m!//\s*([a-z]+(?:-[a-z]+)+): !g;
my ($table) = slurp("$SOURCE/src/lib/crash-points.ts") =~ m/CRASH_POINTS = \[(.*?)\]/s;
my @points = $table =~ m/^\s+'([a-z-]+)'/mg;
my ($first_of_restore) = grep { $points[$_] eq 'restore-begun' } 0 .. $#points;
cmp_ok(scalar(@native), '>=', 5, 'there are points of the native core');
cmp_ok($first_of_restore, '>', 5, 'and of a backup');
my @of_backup = (@points[0 .. $first_of_restore - 1], @native);
my @of_restore = @points[$first_of_restore .. $#points];

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 16 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=16M\nscsihw: virtio-scsi-pci\n");
my $history = History->new();
$history->backup(name => 'the first', modes => full('first', 'scsi0'));

# Where the snapshot is there when the daemon dies.
my %commits = map { $_ => 1 } qw(snapshot-committed bitmaps-recorded log-kept);
my $lost = qr/\(E_(?:CONNECTION_LOST|FRAME_TORN|DAEMON_UNREACHABLE): /;

for my $point (@of_backup) {
    stop_daemon();
    start_daemon(VZVAULT_CRASH_AT => $point);
    guest_writes_noise('scsi0', 5 * $MiB, $MiB);
    my %options = $point eq 'log-kept' ? () : (fails => $lost, commits => $commits{$point});
    $history->backup(name => "killed at $point", %options);
    ok(!daemon_is_alive(), "killed at $point: the daemon is gone");
    restart_daemon();
    guest_writes('scsi0', 10 * $MiB, 512);
    $history->backup(name => "after $point", modes => incremental('scsi0'));
    nothing_left("after $point", 1);
}
$history->check('backups');

for my $point (@of_restore) {
    stop_daemon();
    start_daemon(VZVAULT_CRASH_AT => $point);
    my $volid = ($history->volids())[-1];
    my ($output, $code) = qmrestore($volid, 200, '--storage', 'target');
    note("killed at $point: qmrestore ended with $code");
    ok(!daemon_is_alive(), "killed at $point: the daemon is gone");
    like($output, $lost, "killed at $point: a line says why it failed") if $code != 0;
    restart_daemon();
    nothing_left("killed at $point", 1);
    system('/bin/rm', '-rf', '/var/lib/target/images/200', '/etc/pve/qemu-server/200.conf');
    $history->restore(200, "after $point");
    nothing_left("after $point", 1);
}

PVEHarness::stop_qemu(100);
finish();
