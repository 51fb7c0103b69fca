package PVE::Vzvault::Client;

# One call of vzvaultd: connect, shake hands, ask, wait for the answer, close. docs/protocol.md says
# what travels; PVE::Vzvault::Schema checks it.
#
# - One connection per call, because PVE forks at will and a connection must have one owner. Closing
#   it is also how a call is cancelled: when PVE's signal handlers die out of here, the daemon
#   notices. One that root opened can be kept for a child that cannot open one: whoever forked has
#   to forget it after.
# - A deadline bounds the whole call (PVE::Vzvault::Connection).
# - The XS modules are loaded by the first call, so that neither one that is missing nor a dead
#   daemon can keep PVE from loading the storage plugin.

use strict;
use warnings;

use List::Util ();

use PVE::Vzvault::Connection;
use PVE::Vzvault::Error qw(raise);
use PVE::Vzvault::Frame;
use PVE::Vzvault::Schema;

use constant {
    NAME => 'perl/0.1.0',
    PROTOCOL => 1,
    HELLO_SECONDS => 10, # a daemon that lives greets at once, however long the call itself may take
    ANSWER_MARGIN_SECONDS => 0.1, # the daemon's own error shall arrive before we give up
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
    my $started = PVE::Vzvault::Connection::now();
    my $seconds = $spec->{seconds};
    require Data::MessagePack;
    my $clean = PVE::Vzvault::Schema::params($method, $params);
    my $self = $opts{connection} // _greeted($method, $seconds);
    $self->{doing} = $method;
    $self->{connection}->serve($method, defined($seconds) ? $started + $seconds : undef);
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

    my $patience = List::Util::min(HELLO_SECONDS, $seconds // HELLO_SECONDS);
    my $deadline = PVE::Vzvault::Connection::now() + $patience;
    my $self = bless {
        doing => $doing,
        next_id => 1,
        connection => PVE::Vzvault::Connection->new($doing, $deadline),
    }, __PACKAGE__;
    $self->_hello();

    return $self;
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
    $self->{connection}->was_greeted();

    return;
}

sub _ask {
    my ($self, $method, $params, $fds) = @_;

    my $request = { id => $self->{next_id}++, method => $method, params => $params };
    if (defined(my $seconds = $self->{connection}->remaining())) {
        my $answer_ms = int(1000 * ($seconds - ANSWER_MARGIN_SECONDS));
        $request->{deadlineMs} = $answer_ms < 1 ? 1 : $answer_ms;
    }
    $request->{fds} = scalar($fds->@*) if $fds;
    $self->{connection}->send_frame(PVE::Vzvault::Frame::encode($request), $fds);

    while (1) {
        my $message = $self->{connection}->receive_message();
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
        PVE::Vzvault::Error::pass_on($error) if $id eq $asked || $id eq '0';
    } elsif ($id eq $asked && ref($response->{result}) eq 'HASH') {
        return $response->{result};
    }
    return raise('E_PROTOCOL_ORDER', "vzvaultd's message is not an answer to $self->{doing}");
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
    $self->{connection}->send_frame(PVE::Vzvault::Frame::encode($response));

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

1;
