#!/usr/bin/perl -T

# A container for which the repository has no room, whose vzdump is killed, and whose restore outlives
# the daemon: nothing half-done is listed, and what was there stays good.

use strict;
use warnings;

use Test::More;

use Containers;
use Leftovers;
use Meanwhile;
use Node;
use Tree;

my $MiB = 1024 * 1024;
my $tar_runs = sub { process(qr/\Atar -cf - /) };

sub tmpfs {
    my ($options) = @_;

    system('/bin/mount', '-t', 'tmpfs', '-o', $options, 'tmpfs', '/var/lib/vault') == 0
        or die "mount failed\n";
    return;
}

storage_cfg();
mkdir('/var/lib/vault');
tmpfs('size=200m');
start_daemon();
my @is_mounted = ('--is_mountpoint', 1);
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault', @is_mounted))[1], 0, 'a storage');
populate(container(101, $Containers::BASE), $Containers::BASE);
is((backup_101())[1], 0, 'a backup') || diag(daemon_log());
my ($first) = listed();
my $as_it_was = manifest($Containers::ROOT, $Containers::BASE);

subtest 'a full repository' => sub {
    my ($used) = `/bin/du -sk /var/lib/vault` =~ m/\A(\d+)/;
    tmpfs('remount,size=' . ($used + 4096) . 'k');
    noise("var/new $_", 4 * $MiB) for 1 .. 3;
    for my $attempt (1, 2) {
        my ($output, $code) = backup_101();
        isnt($code, 0, "attempt $attempt fails");
        one_line_error($output, 'E_NO_SPACE', 'with one line');
        unlike($output, qr/^WARN/m, 'and no other complaint');
        is_deeply([listed()], [$first], 'nothing is listed');
        is($tar_runs->(), undef, 'no tar is left');
        nothing_left('a full repository');
    }
    is_sound('while it is full');
    tmpfs('remount,size=400m');
    is((backup_101())[1], 0, 'with room, the next backup succeeds');
    my @listed = listed();
    is(scalar(@listed), 2, 'and is listed');
};

subtest 'a vzdump that is killed' => sub {
    my @before = listed();
    noise('var/new 5', 8 * $MiB);
    my $killer = once($tar_runs, sub { kill('KILL', worker('vzdump'), process(qr!/vzdump 101 !)) }, 1);
    my ($output, $code) = backup_101('--bwlimit', '1024');
    waitpid($killer, 0);
    isnt($code, 0, 'fails');
    ok(wait_until(30, sub { !$tar_runs->() }), 'tar ends by itself');
    is_deeply([listed()], \@before, 'nothing is listed');
    is((pct('unlock', 101))[1], 0, 'pct unlock'); # PVE's own lock and directory are an administrator's matter
    system('/bin/rm', '-rf', map { m/(.+)/ } glob('/var/tmp/vzdumptmp*'));
    nothing_left('a vzdump that is killed');
    is((backup_101())[1], 0, 'the next backup succeeds');
    my @listed = listed();
    is(scalar(@listed), @before + 1, 'and is listed');
};
is_sound('after both');
is_restored($first, 'the first', $as_it_was);

# The mount is a process of its own, and what PVE asks for after the data is known from the beginning:
# whether systemd starts the daemon again in time does not matter.
for my $how (['tar', \&stop_daemon], ['directory', \&stop_daemon], ['tar', \&restart_daemon]) {
    my ($mechanism, $then) = $how->@*;
    mechanism_is($mechanism);
    my $extracts = sub { process(qr/\btar (?:xpf|cpf) - /) };
    my $killer = once($extracts, sub { $then->('KILL') }, 0.3);
    is_restored((listed())[-1], "$mechanism: a daemon that is killed", undef, '--bwlimit', 8192);
    waitpid($killer, 0);
    ok(!daemon_is_alive(), "$mechanism: it was killed");
    stop_daemon();
    start_daemon();
    # What the restore read by was that of a process which is gone: it stays until the next collection.
    is((vzvault('gc', 'vault', '--grace', '0'))[1], 0, "$mechanism: a collection");
    nothing_left("$mechanism: in the end");
}
finish();
