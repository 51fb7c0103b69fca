#!/usr/bin/perl -T

# A mount that hangs: PVE goes on listing the other storages, in time, and the storage comes back by
# itself.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use Node;

storage_cfg();
start_daemon();
mkdir("/var/lib/$_") or die "mkdir: $!\n" for qw(behind front);
my $bindfs = fork() // die "fork: $!\n";
if ($bindfs == 0) {
    exec('/usr/bin/bindfs', '-f', '/var/lib/behind', '/var/lib/front') or POSIX::_exit(127);
}
for (1 .. 100) {
    last if slurp('/proc/mounts') =~ m!/var/lib/front!;
    select(undef, undef, undef, 0.1);
}
like(slurp('/proc/mounts'), qr!/var/lib/front!, 'a mount') or BAIL_OUT('bindfs does not work here');
my @add = ('add', 'vzvault', 'vault', '--path', '/var/lib/front', '--content', 'backup,iso');
is((pvesm(@add, '--is_mountpoint', 'yes'))[1], 0, 'a storage on a mount');
like(pvesm('status'), qr/^vault\s+vzvault\s+active/m, 'is active');

kill('STOP', $bindfs);
my @slow = (['status'], ['list', 'vault'], ['list', 'vault', '--content', 'iso'],
    ['prune-backups', 'vault', '--keep-last', '1', '--dry-run', '1']);
for my $call (@slow) {
    my $started = time();
    my $output = pvesm($call->@*);
    cmp_ok(time() - $started, '<', 15, "pvesm @$call ends while the mount hangs");
    like($output, qr/\((?:E_STORAGE_TIMEOUT|E_DEADLINE): /, 'and says that it does');
    like($output, qr/^local\s+dir\s+active/m, 'and what of the others') if $call->[0] eq 'status';
}

# as pvestatd does it, in a process that has everything loaded
my $started = time();
my $info = PVE::Storage::storage_info(PVE::Storage::config());
cmp_ok(time() - $started, '<', 4, 'all storages are asked in time');
ok(!$info->{vault}->{active}, 'the one that hangs is inactive');
ok($info->{local}->{active}, 'another is not');

kill('CONT', $bindfs);
my $back;
for (1 .. 30) {
    $back = pvesm('status') =~ m/^vault\s+vzvault\s+active/m;
    last if $back;
    sleep(1);
}
ok($back, 'when the mount answers again, so does the storage');

stop_daemon();
system('/bin/umount', '-l', '/var/lib/front');
kill('KILL', $bindfs);
waitpid($bindfs, 0);
start_daemon();
my $output = pvesm('status');
one_line_error($output, 'E_NOT_MOUNTED', 'without the mount there is one line');
is_deeply([glob('/var/lib/front/*')], [], 'and nothing is made in its place');

finish();
