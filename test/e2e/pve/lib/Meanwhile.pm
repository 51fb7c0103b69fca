package Meanwhile;

# Other processes while one of PVE's tools runs: to wait for something, to do something at the right
# moment, to find the process that it is done to, and to meet another node.

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();
use Time::HiRes qw(sleep);

use Node;

our @EXPORT = qw(is_being_read meet once process wait_until worker);

# Waits for at most $seconds until $ready is true; returns what it returned.
sub wait_until {
    my ($seconds, $ready) = @_;

    my $result;
    for (1 .. $seconds * 20) {
        $result = $ready->() and last;
        sleep(0.05);
    }
    return $result;
}

# Runs $code in a process of its own as soon as $ready is true, and $delay seconds later. Returns
# its pid.
sub once {
    my ($ready, $code, $delay) = @_;

    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    wait_until(30, $ready);
    sleep($delay // 0);
    eval { $code->(); 1 } or print STDERR "# once: $@";
    POSIX::_exit(0);
}

# The process whose command line, its arguments parted by blanks, matches. PVE's tools fork a worker
# that does the task and calls itself "task UPID:NODE:PID:...:TYPE:...", as in worker('vzdump').
sub process {
    my ($re) = @_;

    for my $file (glob('/proc/[0-9]*/cmdline')) {
        my $line = (eval { slurp($file) } // next) =~ tr/\0/ /r;
        return $1 if $line =~ $re && $file =~ m!/(\d+)/!;
    }
    return;
}

sub worker {
    my ($type) = @_;

    return process(qr/\Atask UPID:[^:]+:(?:[^:]+:){3}$type:/);
}

# Whether the disks of this VM are being backed up: QEMU hands them out, or the daemon has got a file.
sub is_being_read {
    my ($vmid) = @_;

    my $directory = "/run/qemu-server/$vmid.backup-access.";
    return grep { -S $_ } glob("$directory*/*") if mechanism() eq 'nbd';
    my $pid = daemon_pid() // return;
    return grep { m/\A\Q$directory\E/ } map { readlink($_) // () } glob("/proc/$pid/fd/*");
}

# Waits until both nodes of a case have come to this point; see `run`.
sub meet {
    my ($point) = @_;

    my ($shared, $own) = map { m/\A(.+)\z/ } @ENV{qw(NODES_SHARED NODE_NAME)};
    spew("$shared/meet/$point.$own", '');
    my $both = wait_until(120, sub { (my @there = glob("$shared/meet/$point.*")) == 2 });
    return $both || die "the other node did not come to '$point'\n";
}

1;
