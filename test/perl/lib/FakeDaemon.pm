package FakeDaemon;

# A vzvaultd that does what a test tells it to: a child process that accepts on a socket of its own
# and runs one handler per connection. It shares the frame codec with the client on purpose only
# where a test is not about frames; tests that are send raw bytes.
#
#   my $daemon = FakeDaemon->start({ 'storage.status' => { totalBytes => 1, ... } });
#   my $daemon = FakeDaemon->start(sub { my ($conn) = @_; ...; });
#   $daemon->calls    the requests that were read so far: [{ method, params, ... }, ...]
#   $daemon->stop
#   with_daemon { ... } $script;    starts one, runs the block, stops it
#
# In the table form a value is the result, a function (params, conn) that returns it, or
# [code, message] for an error. The child ends with the object.
#
# A script can also call the client ($conn->ask) and use the descriptors that came ($conn->handles).

use strict;
use warnings;

use Data::MessagePack;
use Exporter qw(import);
use File::Temp ();
use IO::Handle;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Socket ();
use Socket::MsgHdr ();

use PVE::Vzvault::Frame;

our @EXPORT_OK = qw(with_daemon);

my $JSON = JSON::PP->new->canonical->allow_nonref->convert_blessed->allow_blessed;
sub Data::MessagePack::Boolean::TO_JSON { return ${ $_[0] } ? JSON::PP::true() : JSON::PP::false() }

# The block gets the daemon.
sub with_daemon(&@) {
    my ($code, $script) = @_;

    my $daemon = FakeDaemon->start($script);
    $code->($daemon);
    $daemon->stop();
    return;
}

sub start {
    my ($class, $script) = @_;

    my $dir = File::Temp->newdir(TEMPLATE => 'vzvault-test-XXXXXXXX', DIR => '/tmp');
    my ($path) = "$dir" =~ m!\A(/tmp/[\w-]+)\z!;
    my $self = bless { dir => $dir, socket => "$path/sock", journal => "$path/journal" }, $class;

    my $listener = IO::Socket::UNIX->new(Local => $self->{socket}, Listen => 64)
        or die "cannot listen on $self->{socket}: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        eval { $self->_serve($listener, $script) };
        print STDERR "fake daemon: $@" if $@;
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    $self->{owner} = $$;
    $ENV{VZVAULT_SOCKET} = $self->{socket}; ## no critic (RequireLocalizedPunctuationVars)

    return $self;
}

sub _serve {
    my ($self, $listener, $script) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $handler = ref($script) eq 'CODE' ? $script : sub { $_[0]->answer_from($script) };
    while (my $socket = $listener->accept()) {
        $socket->blocking(1);
        my $conn = { socket => $socket, journal => $self->{journal}, asked => 0, fds => [] };
        bless $conn, 'FakeDaemon::Connection';
        eval { $handler->($conn); 1 } or ($@ eq "gone\n" or print STDERR "fake daemon: $@");
        close($socket);
    }

    return;
}

sub calls {
    my ($self) = @_;

    open(my $fh, '<', $self->{journal}) or return [];
    return [map { $JSON->decode($_) } <$fh>];
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;
    kill('KILL', $self->{pid});
    waitpid(delete $self->{pid}, 0);
    unlink $self->{socket};

    return;
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);
    $self->stop();
    return;
}

package FakeDaemon::Connection;

use strict;
use warnings;

# The next message; dies "gone\n" when the client has closed.
sub read_message {
    my ($self) = @_;

    my $head = $self->_read_first_byte();
    $head .= $self->_read_exactly(3);
    my $frame = $head . $self->_read_exactly(unpack('N', $head));
    return PVE::Vzvault::Frame::decode(\$frame);
}

# Descriptors travel with it.
sub _read_first_byte {
    my ($self) = @_;

    my $message = Socket::MsgHdr->new(buflen => 1, controllen => 1024);
    my $got = Socket::MsgHdr::recvmsg($self->{socket}, $message);
    die "gone\n" if !$got;
    my ($level, $type, $data) = $message->cmsghdr();
    if (defined($level)) {
        die "no SCM_RIGHTS\n"
            if $level != Socket::SOL_SOCKET() || $type != Socket::SCM_RIGHTS();
        push $self->{fds}->@*, unpack('i*', $data);
    }
    return $message->buf;
}

# The descriptors that came since the last time, as handles to read from and write to.
sub handles {
    my ($self) = @_;

    return map { IO::Handle->new_from_fd($_, 'r+') || die "fdopen: $!\n" }
        splice($self->{fds}->@*);
}

sub _read_exactly {
    my ($self, $length) = @_;

    my $bytes = '';
    while (length($bytes) < $length) {
        my $got = sysread($self->{socket}, $bytes, $length - length($bytes), length($bytes));
        die "gone\n" if !$got;
    }
    return $bytes;
}

# The next request, written to the journal.
sub read_request {
    my ($self) = @_;

    my $request = $self->read_message();
    open(my $fh, '>>', $self->{journal}) or die "journal: $!\n";
    print {$fh} $JSON->encode($request), "\n";
    close($fh) or die "journal: $!\n";

    return $request;
}

sub greet {
    my ($self) = @_;

    my $hello = $self->read_message();
    die "expected hello, got $hello->{method}\n" if $hello->{method} ne 'hello';
    $self->send({ id => $hello->{id}, result => { protocol => 1, daemon => '0.1.0' } });

    return $hello;
}

sub send { ## no critic (ProhibitBuiltinHomonyms)
    my ($self, $message) = @_;

    return $self->send_raw(PVE::Vzvault::Frame::encode($message));
}

sub send_raw {
    my ($self, $bytes) = @_;

    my $offset = 0;
    while ($offset < length($bytes)) {
        $offset += syswrite($self->{socket}, $bytes, length($bytes) - $offset, $offset)
            || die "gone\n";
    }
    return;
}

# Calls a method of the client; returns its whole response.
sub ask {
    my ($self, $method, $params) = @_;

    my $id = ++$self->{asked};
    $self->send({ id => $id, method => $method, params => $params });
    my $response = $self->read_message();
    die "an answer to $response->{id}, not to $id\n" if $response->{id} != $id;
    return $response;
}

sub send_error {
    my ($self, $id, $code, $message) = @_;

    my $error = { code => $code, message => $message, hint => "the hint of $code" };
    $error->{retryable} = Data::MessagePack::false();
    return $self->send({ id => $id, error => $error });
}

sub answer_from {
    my ($self, $table) = @_;

    $self->greet();
    while (1) {
        my $request = $self->read_request();
        my $answer = $table->{ $request->{method} } // ['E_METHOD_UNKNOWN', $request->{method}];
        $answer = $answer->($request->{params}, $self) if ref($answer) eq 'CODE';
        if (ref($answer) eq 'ARRAY') {
            $self->send_error($request->{id}, $answer->@*);
        } else {
            $self->send({ id => $request->{id}, result => $answer });
        }
    }
    return;
}

1;
