package PVE::Vzvault::Connection;

# A connection to vzvaultd's socket: frames in both directions, descriptors with a frame, and a
# deadline for all of it. What the frames say is PVE::Vzvault::Client's.
#
# - The deadline is kept with select() and the monotonic clock, never with alarm(), which belongs to
#   PVE. Interrupted system calls are resumed.
# - One owner: whoever forked has to forget it after. It is closed when the object goes.

use strict;
use warnings;

use Errno ();
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use Socket qw(AF_UNIX SOCK_STREAM SOL_SOCKET SCM_RIGHTS pack_sockaddr_un);
use Time::HiRes qw(CLOCK_MONOTONIC);

use PVE::Vzvault::Error qw(raise);
use PVE::Vzvault::Frame;

use constant {
    DEFAULT_SOCKET => '/run/vzvault/vzvaultd.sock',
    CONNECT_RETRY_SECONDS => 0.05, # the daemon's backlog is full
    READ_BYTES => 256 * 1024,
    MAX_DESCRIPTORS => 64, # docs/protocol.md, descriptors with one frame
};

# Connects. $doing is what messages say was being done; $deadline is on the clock of now(), undef
# where there is none.
sub new {
    my ($class, $doing, $deadline) = @_;

    my $self = bless {
        doing => $doing,
        deadline => $deadline,
        greeted => 0,
        received => '',
    }, $class;
    $self->_connect();

    return $self;
}

# Perl closes by itself what goes out of scope, but for descriptors 0 to 2, one of which the socket
# has where PVE closed its own.
sub DESTROY {
    my ($self) = @_;

    local ($@, $!);
    close($self->{socket}) if $self->{socket};
    return;
}

# From now on the connection is for this.
sub serve {
    my ($self, $doing, $deadline) = @_;

    $self->@{qw(doing deadline)} = ($doing, $deadline);
    return;
}

# The daemon has spoken: a deadline that passes from now on is that of the call.
sub was_greeted {
    my ($self) = @_;

    $self->{greeted} = 1;
    return;
}

sub _socket_path {
    my $configured = $ENV{VZVAULT_SOCKET} // return DEFAULT_SOCKET;

    my ($path) = $configured =~ m!\A(/[A-Za-z0-9/@+=:,._-]{1,106})\z!
        or raise('E_DAEMON_UNREACHABLE', 'VZVAULT_SOCKET is not an absolute path');
    return $path;
}

sub _connect {
    my ($self) = @_;

    my $path = _socket_path();
    socket(my $socket, AF_UNIX, SOCK_STREAM, 0) or _unreachable($path);
    fcntl($socket, F_SETFL, fcntl($socket, F_GETFL, 0) | O_NONBLOCK) or _unreachable($path);
    $self->{socket} = $socket;

    while (!connect($socket, pack_sockaddr_un($path))) {
        next if $!{EINTR};
        _unreachable($path) if !$!{EAGAIN};
        my $remaining = $self->remaining();
        _unreachable($path) if defined($remaining) && $remaining <= 0;
        Time::HiRes::sleep(CONNECT_RETRY_SECONDS);
    }

    return;
}

sub _unreachable {
    my ($path) = @_;

    my $why = "$!";
    return raise('E_DAEMON_UNREACHABLE', "cannot connect to vzvaultd at $path: $why");
}

# Sends all bytes; the descriptors travel with the first of them.
sub send_frame {
    my ($self, $bytes, $fds) = @_;

    my $offset = $fds ? $self->_send_with_descriptors($bytes, $fds) : 0;
    while ($offset < length($bytes)) {
        my $sent = do {
            local $SIG{PIPE} = 'IGNORE'; # it would end PVE's whole job
            syswrite($self->{socket}, $bytes, length($bytes) - $offset, $offset);
        };
        if (defined($sent)) {
            $offset += $sent;
        } elsif ($!{EAGAIN}) {
            $self->_wait('write');
        } elsif (!$!{EINTR}) {
            $self->_lost();
        }
    }

    return;
}

sub _send_with_descriptors {
    my ($self, $bytes, $fds) = @_;

    require Socket::MsgHdr;
    raise('E_ARGUMENT_INVALID', 'cannot hand over ' . @$fds . ' descriptors at once')
        if $fds->@* > MAX_DESCRIPTORS;
    my @numbers = map { fileno($_) // -1 } $fds->@*;
    raise('E_ARGUMENT_INVALID', 'cannot hand over a file that is not open')
        if grep { $_ < 0 } @numbers;
    my $message = Socket::MsgHdr->new(buf => $bytes);
    $message->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack('i*', @numbers));

    while (1) {
        my $sent = do {
            local $SIG{PIPE} = 'IGNORE';
            Socket::MsgHdr::sendmsg($self->{socket}, $message);
        };
        return $sent if defined($sent);
        if ($!{EAGAIN}) {
            $self->_wait('write');
        } elsif (!$!{EINTR}) {
            $self->_lost();
        }
    }
}

# The next message; waits for it.
sub receive_message {
    my ($self) = @_;

    while (1) {
        my $message = PVE::Vzvault::Frame::decode(\$self->{received});
        return $message if $message;

        my $got = sysread($self->{socket}, $self->{received}, READ_BYTES,
            length($self->{received}));
        if (!defined($got)) {
            if ($!{EAGAIN}) {
                $self->_wait('read');
            } elsif (!$!{EINTR}) {
                $self->_lost();
            }
        } elsif ($got == 0) {
            raise('E_FRAME_TORN', "vzvaultd went away in the middle of an answer to $self->{doing}")
                if length($self->{received});
            raise('E_CONNECTION_LOST', "vzvaultd went away before it answered $self->{doing}");
        }
    }
}

# A write failed. Where the daemon refused us it has said why before it closed.
sub _lost {
    my ($self) = @_;

    my $why = "$!";
    sysread($self->{socket}, $self->{received}, READ_BYTES, length($self->{received}));
    my $last = PVE::Vzvault::Frame::decode(\$self->{received});
    PVE::Vzvault::Error::pass_on($last->{error}) if $last && ref($last->{error}) eq 'HASH';
    return raise('E_CONNECTION_LOST', "the connection broke during $self->{doing}: $why");
}

# Waits until the socket can be read or written, or a signal came; dies at the deadline.
sub _wait {
    my ($self, $for) = @_;

    my $remaining = $self->remaining();
    if (defined($remaining) && $remaining <= 0) {
        my $code = $self->{greeted} ? 'E_DEADLINE' : 'E_DAEMON_UNREACHABLE';
        raise($code, "vzvaultd did not answer $self->{doing} in time");
    }

    my $set = '';
    vec($set, fileno($self->{socket}), 1) = 1;
    if ($for eq 'read') {
        select($set, undef, undef, $remaining);
    } else {
        select(undef, $set, undef, $remaining);
    }

    return;
}

# Seconds until the deadline, undef where there is none.
sub remaining {
    my ($self) = @_;

    return defined($self->{deadline}) ? $self->{deadline} - now() : undef;
}

sub now {
    return Time::HiRes::clock_gettime(CLOCK_MONOTONIC);
}

1;
