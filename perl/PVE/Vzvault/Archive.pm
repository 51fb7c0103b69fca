package PVE::Vzvault::Archive;

# The files of a container as a tar stream: what GNU tar is told, and the process that it is.
#
# The flags are vzdump's own (pve-container PVE/VZDump/LXC.pm, archive), so that a backup of ours
# holds what one of vzdump's would. It all runs as the root user of the container, in its
# namespaces, in a child of PVE's whose result is read from a pipe until nobody holds it any more.
# So tar gets no descriptor but its own, and is gone, and waited for, when the object is.

use strict;
use warnings;

use Fcntl qw(O_RDONLY);
use POSIX ();

use PVE::Vzvault::Error qw(raise);

use constant {
    PATH => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    F_DUPFD_CLOEXEC => 1030, # of Linux
    FIRST_FREE_DESCRIPTOR => 3,
    EXIT_NOT_STARTED => 127,
};

# vzdump's, where PVE does not tell them.
my @COMMON_FLAGS = qw(
    --one-file-system -p --sparse --numeric-owner --acls --xattrs --xattrs-include=user.*
    --xattrs-include=security.capability --warning=no-file-ignored --warning=no-xattr-write
);

# The command for `sources` below `directory`. A pattern with a leading slash is anchored at the
# container's root, any other matches anywhere; their bytes mean nothing to anybody but tar.
sub command {
    my ($directory, $sources, $excludes) = @_;

    my $base = _clean('the directory', $directory, qr!/[^\0]*!);
    # A mount point may lie below another with a higher number; what holds it comes first.
    my @sources = sort map { _clean('a source', $_, qr!\.(?:/[^\0]*)?!) } $sources->@*;
    my @excludes = map { _clean('an exclude pattern', $_, qr/[^\0]*/) } $excludes->@*;
    my @anchored = map { "--exclude=.$_" } grep { m!\A/! } @excludes;
    my @anywhere = map { "--exclude=$_" } grep { !m!\A/! } @excludes;

    return (
        qw(tar -cf - --format=posix),
        _common_flags(),
        qw(--one-file-system --warning=no-file-ignored),
        # What was installed together lies together, so that a change leaves its neighbours as they
        # were: in the order of the directory twice as much is stored anew. A copy has new inodes.
        _is_copy(@sources) ? '--sort=name' : '--sort=inode',
        "--directory=$base",
        qw(--no-anchored --exclude=lost+found), # which the container's root cannot read
        @anywhere,
        '--anchored',
        @anchored,
        _vzdump_files($base, @sources),
        @sources,
    );
}

# Exclude patterns that PVE's documentation allows and tar does not understand.
sub ignored_patterns {
    my ($sources, $excludes) = @_;

    # rsync has left out already what they match.
    return () if _is_copy($sources->@*);
    return grep { m!/\z! } $excludes->@*;
}

# In suspend mode what rsync copied is read, as a whole.
sub _is_copy {
    my (@sources) = @_;

    return @sources == 1 && $sources[0] eq '.';
}

sub _common_flags {
    no warnings 'once'; ## no critic (ProhibitNoWarnings): PVE's own, which may not be loaded
    my @theirs = @PVE::Storage::Plugin::COMMON_TAR_FLAGS;
    return @theirs ? @theirs : @COMMON_FLAGS;
}

# PVE puts its own files into such a copy (PVE/VZDump/LXC.pm, assemble), which are no files of the
# container. They travel by themselves.
sub _vzdump_files {
    my ($base, @sources) = @_;

    return () if !_is_copy(@sources);
    my %is_theirs = map { $_ => 1 } qw(. .. pct.conf pct.fw);
    if (opendir(my $dir, "$base/etc/vzdump")) {
        my @others = grep { !$is_theirs{$_} } readdir($dir);
        closedir($dir);
        return ('--exclude=./etc/vzdump') if !@others;
    }
    return ('--exclude=./etc/vzdump/pct.conf', '--exclude=./etc/vzdump/pct.fw');
}

# Untainted bytes: those that exec would take for them.
sub _clean {
    my ($what, $value, $re) = @_;

    my ($clean) = ($value // '') =~ m/\A($re)\z/s
        or raise('E_ARGUMENT_INVALID', "cannot back up a container: $what is not usable");
    utf8::encode($clean) if utf8::is_utf8($clean);
    return $clean;
}

# Starts a command. What it writes and what it says can be read from `pipes`.
sub start {
    my ($class, @command) = @_;

    pipe(my $stream, my $stream_in) or die "pipe: $!\n";
    pipe(my $messages, my $messages_in) or die "pipe: $!\n";

    # A handler of PVE's that ran in the child before it is tar would act in PVE's place.
    my ($all, $before) = (POSIX::SigSet->new(), POSIX::SigSet->new());
    $all->fillset();
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all, $before) or die "sigprocmask: $!\n";
    my $pid = fork();
    if (defined($pid) && $pid == 0) {
        eval { _become($stream_in, $messages_in, $before, @command) };
        POSIX::_exit(EXIT_NOT_STARTED);
    }
    my $error = "$!";
    my $self = bless { pid => $pid, pipes => [$stream, $messages] }, $class;
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $before) or die "sigprocmask: $!\n";
    die "cannot start tar: $error\n" if !defined($pid);
    close($_) for $stream_in, $messages_in;

    return $self;
}

# In the child: never returns to what the parent was doing. PVE may have closed its own standard
# descriptors, so the pipes may be any of them: they are moved out of the way first.
sub _become {
    my ($stream, $messages, $signals, @command) = @_;

    my @fds = map { 0 + fcntl($_, F_DUPFD_CLOEXEC, FIRST_FREE_DESCRIPTOR) } $stream, $messages;
    POSIX::dup2($fds[0], 1) // return;
    POSIX::dup2($fds[1], 2) // return;
    POSIX::close(0);
    my $null = POSIX::open('/dev/null', O_RDONLY) // return;
    POSIX::dup2($null, 0) if $null != 0;
    $SIG{$_} = 'DEFAULT' for grep { defined($SIG{$_}) } keys %SIG;
    $SIG{PIPE} = 'DEFAULT'; # tar ends when nobody reads it
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), $signals);

    %ENV = (PATH => PATH, LC_ALL => 'C');
    no warnings 'exec'; ## no critic (ProhibitNoWarnings): what is said is below
    exec { $command[0] } @command;
    my $why = "$command[0] cannot be started: $!\n";
    POSIX::write(2, $why, length($why));
    return;
}

sub pipes {
    my ($self) = @_;

    return $self->{pipes}->@*;
}

# Closes our ends of the pipes, and waits: the exit code and the signal, one of which is undef.
sub wait_for_end {
    my ($self) = @_;

    $self->_close();
    $self->_reap();
    my $status = $self->{status};
    return (undef, undef) if !defined($status);
    my $signal = $status & 127;
    return $signal ? (undef, $signal) : ($status >> 8, undef);
}

sub _close {
    my ($self) = @_;

    close($_) for splice($self->{pipes}->@*);
    return;
}

sub _reap {
    my ($self) = @_;

    while (defined(my $pid = $self->{pid})) {
        local $?;
        my $got = waitpid($pid, 0);
        next if $got < 0 && $!{EINTR};
        $self->{status} = $? if $got == $pid;
        delete $self->{pid};
    }
    return;
}

# On every way out, that of PVE's signal handlers among them.
sub DESTROY {
    my ($self) = @_;

    local ($@, $!, $?);
    $self->_close();
    kill('KILL', $self->{pid}) if defined($self->{pid});
    $self->_reap();
    return;
}

1;
