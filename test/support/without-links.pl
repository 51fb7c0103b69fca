#!/usr/bin/perl
# Runs a program for which there is no way of making a name without replacing: the kernel refuses it hard links and renameat2(2), as a
# file system does that has neither.
#
#   without-links.pl PROGRAM ARGUMENT...

use strict;
use warnings;

use POSIX qw(EINVAL EPERM uname);

use constant { PR_SET_NO_NEW_PRIVS => 38, PR_SET_SECCOMP => 22, SECCOMP_MODE_FILTER => 2 };
use constant { BPF_LOAD_WORD => 0x20, BPF_JUMP_EQUAL => 0x15, BPF_RETURN => 0x06 };
use constant { ALLOW => 0x7fff_0000, FAIL => 0x0005_0000 };

# prctl, then what is refused: the numbers of the system calls renameat2, linkat and, where there is one, link.
my %calls = (
    x86_64 => [157, [316, EINVAL], [265, EPERM], [86, EPERM]],
    aarch64 => [167, [276, EINVAL], [37, EPERM]],
);
my $machine = (uname())[4];
my ($prctl, @refused) = ($calls{$machine} // die "unknown machine $machine\n")->@*;

# struct sock_filter: code, jumps where true and where false, operand. The number of the call is the first word of seccomp_data.
my @filter = (pack('S C C L', BPF_LOAD_WORD, 0, 0, 0));
for my $call (@refused) {
    my ($number, $error) = $call->@*;
    push @filter, pack('S C C L', BPF_JUMP_EQUAL, 0, 1, $number), pack('S C C L', BPF_RETURN, 0, 0, FAIL | $error);
}
push @filter, pack('S C C L', BPF_RETURN, 0, 0, ALLOW);

my $instructions = join('', @filter);
my $program = pack('S x![P] P', scalar(@filter), $instructions);
syscall($prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "no_new_privs: $!\n";
syscall($prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, $program) == 0 or die "seccomp: $!\n";
exec(@ARGV) or die "$ARGV[0]: $!\n";
