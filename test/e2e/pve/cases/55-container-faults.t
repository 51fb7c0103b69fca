#!/usr/bin/perl -T

# The backup of a container that is stopped, or loses tar, PVE's own child or the daemon, fails with
# one clear line and leaves nothing behind; the next one succeeds.

use strict;
use warnings;

use POSIX ();
use Test::More;

use Node;

my $MiB = 1024 * 1024;
my $BASE = 100_000;

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
my $root = container(101, $BASE);
spew("$root/data/$_", pack('N', $_ * 2654435761 % 4294967296) x (256 * 1024)) for 1 .. 24;
system('/bin/chown', '-R', "$BASE:$BASE", $root) == 0 or die "chown failed\n";

# The processes whose command line begins so, as [pid, parent].
sub processes {
    my (@command) = @_;

    my @found;
    for my $dir (glob('/proc/[0-9]*')) {
        my ($pid) = $dir =~ m!/(\d+)\z!;
        my $line = eval { slurp("$dir/cmdline") } // next;
        my ($parent) = (eval { slurp("$dir/stat") } // next) =~ m/\) \S (\d+)/ or next;
        push @found, [$pid, $parent] if index($line, join('', map { "$_\0" } @command)) == 0;
    }
    return @found;
}

sub tars { return processes('tar', '-cf', '-') }

# vzdump, slowly, with $code run a second after tar came up.
sub disturbed {
    my ($code) = @_;

    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        for (1 .. 600) {
            last if tars();
            select(undef, undef, undef, 0.05);
        }
        select(undef, undef, undef, 1);
        spew('/var/tmp/disturbed', time());
        $code->();
        POSIX::_exit(0);
    }
    my ($output, $exit) = vzdump(101, '--storage', 'vault', '--mode', 'stop', '--bwlimit', '1024');
    my $seconds = time() - slurp('/var/tmp/disturbed');
    waitpid($pid, 0);
    isnt($exit, 0, 'fails');
    cmp_ok($seconds, '<', 15, 'at once');
    return $output;
}

sub nothing_left {
    is_deeply([tars()], [], 'tar is gone');
    unlike(pvesm('list', 'vault'), qr/^vault:/m, 'nothing is listed');
    is((vzvault('verify', 'vault'))[1], 0, 'the repository is sound');
    return;
}

subtest 'a backup that is stopped' => sub {
    my $output = disturbed(sub {
        my ($tar) = tars();
        my ($child) = grep { $_->[0] == $tar->[1] } processes();
        kill('TERM', $child->[1]); # vzdump itself; the child in the namespace is its own
    });
    like($output, qr/^ERROR: Backup of VM 101 failed - /m, 'as PVE says it');
    nothing_left();
};

subtest 'a tar that is killed' => sub {
    my $output = disturbed(sub { kill('KILL', map { $_->[0] } tars()) });
    one_line_error($output, 'E_ARCHIVE_SOURCE', 'is one line');
    like($output, qr/tar ended by signal 9/, 'that says so');
    nothing_left();
};

subtest 'a child of PVE that is killed' => sub {
    my $output = disturbed(sub { kill('KILL', map { $_->[1] } tars()) });
    one_line_error($output, 'E_SNAPSHOT_MISSING', 'is not taken for a success');
    nothing_left();
};

subtest 'a daemon that is killed' => sub {
    my ($daemon) = grep { $_->[1] == $$ } processes('node');
    my $output = disturbed(sub { kill('KILL', $daemon->[0]) });
    one_line_error($output, 'E_CONNECTION_LOST', 'is one line');
    stop_daemon('KILL');
    start_daemon();
    nothing_left();
};

my ($output, $code) = vzdump(101, '--storage', 'vault', '--mode', 'stop');
is($code, 0, 'the next backup succeeds') || diag(daemon_log());
like(pvesm('list', 'vault'), qr/^vault:backup\/vzdump-lxc-101-/m, 'and is listed');
is_deeply([tars()], [], 'no tar is left');

finish();
