package UserNamespace;

# Code and commands as the root user of an unprivileged container: in a user and a mount namespace of their own, with an id map, as
# PVE/LXC/Namespaces.pm, run_in_userns and lxc-usernsexec make them. Needs root.
#
# An id map is [FIRST, COUNT]: the ids of the container 0 .. COUNT are FIRST and more of the host.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use POSIX ();

our @EXPORT_OK = qw(command_as_container_root run_as_container_root);

require 'syscall.ph'; ## no critic (RequireBarewordIncludes): Debian's numbers of this machine

use constant {
    CLONE_NEWNS => 0x0002_0000,
    CLONE_NEWUSER => 0x1000_0000,
};

my $json = JSON::PP->new->canonical->ascii->allow_nonref;

# Answers what `code` does, which goes through JSON, or dies as it does. What it changes is changed in a child only.
sub run_as_container_root {
    my ($id_map, $code) = @_;

    pipe(my $result, my $result_in) or die "pipe: $!\n";
    my $pid = _fork_mapped($id_map, sub {
        close($result);
        my $said = eval { { result => scalar($code->()) } } // { error => "$@" };
        print {$result_in} $json->encode($said);
        close($result_in);
        return 0;
    });
    close($result_in);
    my $said = do { local $/; <$result> };
    waitpid($pid, 0);
    # As in PVE, a child that is gone without a word has succeeded.
    my $answer = length($said // '') ? $json->decode($said) : {};
    die $answer->{error} if defined($answer->{error});

    return $answer->{result};
}

# Starts a command with this standard input; answers its pid.
sub command_as_container_root {
    my ($id_map, $input, @command) = @_;

    return _fork_mapped($id_map, sub {
        open(STDIN, '<&', $input) or die "standard input: $!\n";
        exec { $command[0] } @command or die "$command[0]: $!\n";
    });
}

# The child leaves by _exit, with what `code` answers. It waits for its map before it does anything.
sub _fork_mapped {
    my ($id_map, $code) = @_;

    pipe(my $ready, my $ready_in) or die "pipe: $!\n";
    pipe(my $mapped, my $mapped_in) or die "pipe: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        my $exit = eval {
            close($_) for $ready, $mapped_in;
            syscall(&SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) == 0 or die "unshare: $!\n";
            syswrite($ready_in, 'x');
            sysread($mapped, my $go, 1) or die "there is no id map\n";
            close($_) for $ready_in, $mapped;
            $) = '0 0'; ## no critic (RequireLocalizedPunctuationVars)
            POSIX::setgid(0) or die "setgid: $!\n";
            POSIX::setuid(0) or die "setuid: $!\n";
            $code->();
        };
        print STDERR $@ if !defined($exit);
        POSIX::_exit($exit // 1);
    }
    close($_) for $ready_in, $mapped;
    sysread($ready, my $is_ready, 1) or die "no user namespace\n";
    for my $kind (qw(uid gid)) {
        my ($from, $count) = map { m/\A(\d+)\z/ } $id_map->@*;
        open(my $file, '>', "/proc/$pid/${kind}_map") or die "${kind}_map: $!\n";
        print {$file} "0 $from $count\n";
        close($file) or die "${kind}_map: $!\n";
    }
    syswrite($mapped_in, 'x');

    return $pid;
}

1;
