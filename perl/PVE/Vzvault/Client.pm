package PVE::Vzvault::Client;

# One call of vzvaultd: connect, shake hands, ask, wait for the answer, close. docs/protocol.md says
# what travels; PVE::Vzvault::Schema checks it.
#
# - One connection per call, because PVE forks at will and a connection must have one owner. Closing
#   it is also how a call is cancelled: when PVE's signal handlers die out of here, the daemon
#   notices. One that root opened can be kept for a child that cannot open one: whoever forked has
#   to forget it after.
# - A deadline bounds the whole call. It is kept with select() and the monotonic clock, never with
#   alarm(), which belongs to PVE. Interrupted system calls are resumed.
# - The XS modules are loaded by the first call, so that neither one that is missing nor a dead
#   daemon can keep PVE from loading the storage plugin.

use strict;
use warnings;

use Errno ();
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use List::Util ();
use Socket qw(AF_UNIX SOCK_STREAM SOL_SOCKET SCM_RIGHTS pack_sockaddr_un);
use Time::HiRes qw(CLOCK_MONOTONIC);

use PVE::Vzvault::Error qw(raise);
use PVE::Vzvault::Frame;
use PVE::Vzvault::Schema;

use constant {
    NAME => 'perl/0.1.0',
    PROTOCOL => 1,
    DEFAULT_SOCKET => '/run/vzvault/vzvaultd.sock',
    HELLO_SECONDS => 10, # a daemon that lives greets at once, however long the call itself may take
    CONNECT_RETRY_SECONDS => 0.05, # the daemon's backlog is full
    ANSWER_MARGIN_SECONDS => 0.1, # the daemon's own error shall arrive before we give up
    READ_BYTES => 256 * 1024,
    MAX_DESCRIPTORS => 64, # docs/protocol.md, descriptors with one frame
};

# call($method, $params, %opts): the checked, untainted result, or a die with one line
# "what failed and why (CODE: what to do)".
#   log      => sub ($level, $message): level info, warn or err; message is one line of UTF-8 bytes
#   fds      => [file handles to hand over], of which there is one at least
#   connection => what open_connection() gave; the call is its last
#   handlers => { method => sub ($params) }: answers requests of the daemon with checked params,
#               returns a result map; raises a code of ours, which the daemon is told, or ends the
#               call by any other die
sub call {
    my ($method, $params, %opts) = @_;

    my $spec = $PVE::Vzvault::Schema::METHOD{$method} or die "no such method: $method\n";
    my $started = _now();
    my $seconds = $spec->{seconds};
    require Data::MessagePack;
    my $clean = PVE::Vzvault::Schema::params($method, $params);
    my $self = $opts{connection} // _greeted($method, $seconds);
    $self->{doing} = $method;
    $self->{deadline} = defined($seconds) ? $started + $seconds : undef;
    $self->{log} = $opts{log} // sub { };
    $self->{handlers} = $opts{handlers} // {};

    return PVE::Vzvault::Schema::result($method, $self->_ask($method, $clean, $opts{fds}));
}

# A connection for one later call, also by a child, and all that is loaded on the way to it.
sub open_connection {
    require Data::MessagePack;
    require Socket::MsgHdr;
    return _greeted('a call', undef);
}

sub _greeted {
    my ($doing, $seconds) = @_;

    my $self = bless {
        doing => $doing,
        deadline => _now() + List::Util::min(HELLO_SECONDS, $seconds // HELLO_SECONDS),
        greeted => 0,
        received => '',
        next_id => 1,
    }, __PACKAGE__;
    $self->_connect();
    $self->_hello();

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

# --- messages ---

sub _hello {
    my ($self) = @_;

    my $params = { protocolMin => PROTOCOL, protocolMax => PROTOCOL, client => NAME };
    my $answer = $self->_ask('hello', $params);
    # Compared as numbers: `ne` would make the constant a text, and send it as one from then on.
    my ($protocol) = ($answer->{protocol} // '') =~ m/\A([0-9]{1,9})\z/;
    raise('E_PROTOCOL_ORDER', 'vzvaultd chose a protocol that was not offered')
        if !defined($protocol) || $protocol != PROTOCOL;
    $self->{greeted} = 1;

    return;
}

sub _ask {
    my ($self, $method, $params, $fds) = @_;

    my $request = { id => $self->{next_id}++, method => $method, params => $params };
    if (defined(my $seconds = $self->_remaining())) {
        my $answer_ms = int(1000 * ($seconds - ANSWER_MARGIN_SECONDS));
        $request->{deadlineMs} = $answer_ms < 1 ? 1 : $answer_ms;
    }
    $request->{fds} = scalar($fds->@*) if $fds;
    $self->_send(PVE::Vzvault::Frame::encode($request), $fds);

    while (1) {
        my $message = $self->_receive();
        if (!defined($message->{method})) {
            return $self->_result_of($message, $request->{id});
        } elsif (defined($message->{id})) {
            $self->_answer($message);
        } elsif ($message->{method} eq 'log') {
            $self->_log($message->{params});
        }
    }
}

# The result in a response; dies with its error, or where it answers no question of ours.
sub _result_of {
    my ($self, $response, $asked) = @_;

    my $id = $response->{id} // '';
    if (ref(my $error = $response->{error}) eq 'HASH') {
        # id 0: the daemon refuses the connection, not this request
        _die_with($error) if $id eq $asked || $id eq '0';
    } elsif ($id eq $asked && ref($response->{result}) eq 'HASH') {
        return $response->{result};
    }
    return raise('E_PROTOCOL_ORDER', "vzvaultd's message is not an answer to $self->{doing}");
}

sub _die_with {
    my ($error) = @_;

    my ($code) = ($error->{code} // '') =~ m/\A(E_[A-Z][A-Z_]{1,40})\z/;
    raise('E_FRAME_INVALID', 'vzvaultd answered with an error that has no code') if !$code;
    my $message = PVE::Vzvault::Error::line($error->{message});
    my $hint = PVE::Vzvault::Error::line($error->{hint});
    die "$message ($code: $hint)\n";
}

# A request of the daemon. What cannot be answered for a reason of ours is told it, and it decides
# what becomes of the call. Any other die, as that of PVE's signal handlers, ends the call, and with
# the connection what it was for.
sub _answer {
    my ($self, $request) = @_;

    my ($id) = $request->{id} =~ m/\A([0-9]{1,15})\z/
        or raise('E_FRAME_INVALID', 'vzvaultd sent a request whose id is no number');
    my $method = PVE::Vzvault::Error::line($request->{method});
    my $response = { id => 0 + $id };
    my $result = eval { $self->_handle($method, $request->{params}) };
    if ($result) {
        $response->{result} = $result;
    } else {
        my $error = $@;
        my $fields = PVE::Vzvault::Error::fields($error) // die $error;
        my $retryable = PVE::Vzvault::Type::bool_to_wire($fields->{retryable});
        $response->{error} = { $fields->%*, retryable => $retryable };
    }
    $self->_send(PVE::Vzvault::Frame::encode($response));

    return;
}

sub _handle {
    my ($self, $method, $params) = @_;

    my $handler = $self->{handlers}->{$method}
        // raise('E_METHOD_UNKNOWN', "the plugin does not know the call $method");
    my $clean = PVE::Vzvault::Schema::client_params($method, $params);

    return PVE::Vzvault::Schema::client_result($method, $handler->($clean));
}

sub _log {
    my ($self, $params) = @_;

    return if ref($params) ne 'HASH';
    my ($level) = ($params->{level} // '') =~ m/\A(info|warn|err)\z/;
    my $line = PVE::Vzvault::Error::line($params->{message});
    utf8::encode($line); # PVE prints it to handles that have no encoding layer
    $self->{log}->($level // 'info', $line) if length($line);

    return;
}

# --- the socket ---

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
        my $remaining = $self->_remaining();
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
sub _send {
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
sub _receive {
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
    _die_with($last->{error}) if $last && ref($last->{error}) eq 'HASH';
    return raise('E_CONNECTION_LOST', "the connection broke during $self->{doing}: $why");
}

# Waits until the socket can be read or written, or a signal came; dies at the deadline.
sub _wait {
    my ($self, $for) = @_;

    my $remaining = $self->_remaining();
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
sub _remaining {
    my ($self) = @_;

    return defined($self->{deadline}) ? $self->{deadline} - _now() : undef;
}

sub _now {
    return Time::HiRes::clock_gettime(CLOCK_MONOTONIC);
}

1;
