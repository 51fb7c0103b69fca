#!/usr/bin/perl -T

# The daemon is killed at every named point that the backup of a container and its restore pass, then
# started again: nothing that is listed is half-done, and the next backup and restore work without
# hands.

use strict;
use warnings;

use Test::More;

use Containers;
use Leftovers;
use Node;
use Tree;

my ($SOURCE) = __FILE__ =~ m!\A(.+)/test/e2e/pve/cases/!;
my @native = slurp("$SOURCE/native/core/base/crash_point.h") =~ m!//\s*([a-z]+(?:-[a-z]+)+): !g;
my ($table) = slurp("$SOURCE/src/lib/crash-points.ts") =~ m/CRASH_POINTS = \[(.*?)\]/s;
# Those of bitmaps only a VM's backup passes.
my @points = grep { !m/\A(?:incremental-queried|bitmaps-recorded)\z/ } $table =~ m/^\s+'([a-z-]+)'/mg;
my ($first_of_restore) = grep { $points[$_] eq 'restore-begun' } 0 .. $#points;
cmp_ok(scalar(@native), '>=', 5, 'there are points of the native core');
cmp_ok($first_of_restore, '>', 5, 'and of a backup');
my @of_backup = (@points[0 .. $first_of_restore - 1], @native);
my @of_restore = @points[$first_of_restore .. $#points];
my %commits = map { $_ => 1 } qw(snapshot-committed log-kept);
my $lost = qr/\(E_(?:CONNECTION_LOST|FRAME_TORN|DAEMON_UNREACHABLE): /;

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
populate(container(101, $Containers::BASE), $Containers::BASE);
noise('var/new', 1024);

my $count = 0;
for my $point (@of_backup) {
    stop_daemon();
    start_daemon(VZVAULT_CRASH_AT => $point);
    noise('var/new', 300_000);
    my ($output, $code) = backup_101();
    ok(!daemon_is_alive(), "killed at $point: the daemon is gone");
    if ($point eq 'log-kept') {
        is($code, 0, "killed at $point: the backup was over");
    } else {
        isnt($code, 0, "killed at $point: the backup fails");
        like($output, qr/^ERROR: [^\n]*$lost/m, "killed at $point: a line says why");
    }
    restart_daemon();
    ($output, $code) = backup_101();
    is($code, 0, "killed at $point: the next backup succeeds") || diag(daemon_log());
    $count += $commits{$point} ? 2 : 1;
    nothing_left("killed at $point", 1);
}
my @listed = listed();
is(scalar(@listed), $count, 'all that was committed is listed, and nothing else');
is_sound('after all');
is_restored($listed[-1], 'the last');

for my $index (0 .. $#of_restore) {
    my $point = $of_restore[$index];
    mechanism_is($index % 2 ? 'tar' : 'directory');
    stop_daemon();
    start_daemon(VZVAULT_CRASH_AT => $point);
    my ($output, $code) = restore($listed[-1]);
    ok(!daemon_is_alive(), "killed at $point: the daemon is gone");
    if ($point =~ m/\Arestore-end(?:ing|ed)\z/) {
        is($code, 0, "killed at $point: all was restored");
    } else {
        isnt($code, 0, "killed at $point: the restore fails");
        like($output, $lost, "killed at $point: a line says why");
    }
    restart_daemon();
    nothing_left("killed at $point", 1);
    is_restored($listed[-1], "after $point");
}
finish();
