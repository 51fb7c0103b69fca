#!/usr/bin/perl -T

use strict;
use warnings;
use utf8;

use Test::More;
use Time::HiRes qw(time);

use FakeDaemon qw(with_daemon);
use Taint qw(tainted_parts);
use PVE::Vzvault::Client;

alarm(120); # a test that hangs shall fail

my $STATUS = { totalBytes => 3, availableBytes => 2, usedBytes => 1 };
my $STORAGE = { id => 'vault', path => '/mnt/vault', isMountpoint => '' };
my @STATUS_CALL = ('storage.status', { storage => $STORAGE });

sub fails {
    my ($code, $pattern, $name, @call) = @_;

    my $started = time();
    my $result = eval { PVE::Vzvault::Client::call(@call ? @call : @STATUS_CALL) };
    my $error = $@;
    is($result, undef, "$name: no result");
    like($error, qr/\A[^\n]*$pattern[^\n]* \($code: [^\n]+\)\n\z/, "$name: one line with $code");
    cmp_ok(time() - $started, '<', 2.5, "$name: within the deadline");
    return;
}

subtest 'a call' => sub {
    with_daemon {
        my ($daemon) = @_;
        my $result = PVE::Vzvault::Client::call(@STATUS_CALL);
        is_deeply($result, $STATUS, 'returns the result');
        is_deeply([tainted_parts($result)], [], 'untainted');
        my ($request) = $daemon->calls->@*;
        is($request->{method}, 'storage.status', 'names the method');
        is_deeply($request->{params}, { storage => $STORAGE }, 'carries the parameters');
        cmp_ok($request->{deadlineMs}, '<=', 1900, 'bounds the daemon below our own deadline');
        cmp_ok($request->{deadlineMs}, '>', 1000, 'but not by much');
        ok(!exists($request->{fds}), 'declares no descriptors');
    } { 'storage.status' => $STATUS };
};

subtest 'the handshake' => sub {
    with_daemon {
        my ($daemon) = @_;
        PVE::Vzvault::Client::call(@STATUS_CALL) for 1, 2;
        my ($hello, undef, $second) = $daemon->calls->@*;
        like(JSON::PP->new->canonical->encode($_->{params}), qr/"protocolMax":1,"protocolMin":1/,
            'its versions are numbers, also in the next call')
            for $hello, $second;
        is($hello->{method}, 'hello', 'comes first');
        is($hello->{id}, 1, 'with id 1');
        open(my $fh, '<', 'package.json') or die "package.json: $!\n";
        my $version = JSON::PP->new->decode(do { local $/; <$fh> })->{version};
        is_deeply(
            $hello->{params},
            { protocolMin => 1, protocolMax => 1, client => "perl/$version" },
            'offers protocol 1, and says its version, which is that of the whole',
        );
    } sub {
        my ($conn) = @_;
        my $hello = $conn->read_request();
        $conn->send({ id => $hello->{id}, result => { protocol => 1, daemon => '9.9.9' } });
        my $request = $conn->read_request();
        $conn->send({ id => $request->{id}, result => $STATUS });
    };
    with_daemon { fails('E_PROTOCOL_VERSION', '1 to 1 and 2 to 3', 'a daemon of another version') }
    sub {
        my ($conn) = @_;
        $conn->send_error($conn->read_message()->{id}, 'E_PROTOCOL_VERSION', '1 to 1 and 2 to 3');
    };
    with_daemon { fails('E_PROTOCOL_ORDER', 'was not offered', 'a choice that was not offered') }
    sub {
        my ($conn) = @_;
        $conn->send({ id => $conn->read_message()->{id}, result => { protocol => 2 } });
    };
    with_daemon { fails('E_PEER_DENIED', 'only root', 'a daemon that refuses us') } sub {
        my ($conn) = @_;
        $conn->send_error(0, 'E_PEER_DENIED', 'only root');
    };
};

subtest 'no daemon' => sub {
    local $ENV{VZVAULT_SOCKET} = '/tmp/vzvault-test-nowhere/sock';
    fails('E_DAEMON_UNREACHABLE', 'nowhere/sock: No such file', 'no socket');
    local $ENV{VZVAULT_SOCKET} = '/tmp/with a space';
    fails('E_DAEMON_UNREACHABLE', 'VZVAULT_SOCKET', 'a socket path that is none');
    my $daemon = FakeDaemon->start({});
    my $path = $daemon->{socket};
    kill('KILL', $daemon->{pid});
    waitpid($daemon->{pid}, 0);
    local $ENV{VZVAULT_SOCKET} = $path;
    fails('E_DAEMON_UNREACHABLE', 'Connection refused', 'a socket that nobody listens on');
};

subtest 'silence' => sub {
    with_daemon { fails('E_DAEMON_UNREACHABLE', 'in time', 'before the handshake') }
    sub { sleep 30 };
    with_daemon { fails('E_DEADLINE', 'storage.status in time', 'after the handshake') }
    sub { $_[0]->greet(); sleep 30 };
    local $PVE::Vzvault::Schema::METHOD{'storage.status'}->{seconds} = 0.5;
    with_daemon { fails('E_DEADLINE', 'storage.status in time', 'amid chatter') } sub {
        my ($conn) = @_;
        $conn->greet();
        while (1) {
            $conn->send({ method => 'log', params => { level => 'info', message => 'x' } });
            select(undef, undef, undef, 0.01);
        }
    };
    with_daemon { fails('E_DEADLINE', 'storage.status in time', 'amid an answer by the byte') }
    sub {
        my ($conn) = @_;
        $conn->greet();
        my $request = $conn->read_message();
        my $frame = PVE::Vzvault::Frame::encode({ id => $request->{id}, result => $STATUS });
        for my $byte (split(//, $frame)) {
            $conn->send_raw($byte);
            select(undef, undef, undef, 0.05);
        }
    };
};

subtest 'answers that break off' => sub {
    my $frame = PVE::Vzvault::Frame::encode({ id => 2, result => $STATUS });
    for my $cut (1, 3, 4, 5, length($frame) - 1) {
        with_daemon { fails('E_FRAME_TORN', 'in the middle', "cut after $cut bytes") } sub {
            my ($conn) = @_;
            $conn->greet();
            $conn->read_message();
            $conn->send_raw(substr($frame, 0, $cut));
        };
    }
    with_daemon { fails('E_CONNECTION_LOST', 'before it answered', 'closed without an answer') }
    sub { $_[0]->greet(); $_[0]->read_message() };
    with_daemon { fails('E_CONNECTION_LOST', 'storage.status', 'closed before the question') }
    sub { $_[0]->greet() };
    with_daemon {
        my ($daemon) = @_;
        fails('E_CONNECTION_LOST', 'before it answered', 'killed in mid-call');
    } sub { $_[0]->greet(); $_[0]->read_message(); kill('KILL', $$) };
};

subtest 'answers that are none' => sub {
    my %bad = (
        'an oversized frame' => ['E_FRAME_TOO_LARGE', "\x7f\xff\xff\xff"],
        'an empty frame' => ['E_FRAME_INVALID', "\0\0\0\0"],
        'garbage' => ['E_FRAME_INVALID', pack('N/a', "\xc1" x 9)],
        'a list' => ['E_FRAME_INVALID', pack('N/a', "\x90")],
    );
    for my $name (sort keys %bad) {
        my ($code, $bytes) = $bad{$name}->@*;
        with_daemon { fails($code, '', $name) }
        sub { $_[0]->greet(); $_[0]->read_message(); $_[0]->send_raw($bytes); sleep 30 };
    }
    my %out_of_order = (
        'another id' => { id => 77, result => $STATUS },
        'the id of the handshake again' => { id => 1, result => $STATUS },
        'no id' => { result => $STATUS },
        'neither result nor error' => { id => 2 },
        'an error for another id' => { id => 3, error => { code => 'E_INTERNAL' } },
        'a result that is no map' => { id => 2, result => 'fine' },
    );
    for my $name (sort keys %out_of_order) {
        with_daemon { fails('E_PROTOCOL_ORDER', 'not an answer', $name) }
        sub { $_[0]->greet(); $_[0]->read_message(); $_[0]->send($out_of_order{$name}); sleep 30 };
    }
    with_daemon { fails('E_FRAME_INVALID', 'no code', 'an error without a code') }
    sub { $_[0]->greet(); $_[0]->read_message(); $_[0]->send({ id => 2, error => {} }) };
    with_daemon { fails('E_FRAME_INVALID', 'usedBytes', 'a result that does not fit') }
    { 'storage.status' => { $STATUS->%*, usedBytes => 'many' } };
};

subtest 'errors of the daemon' => sub {
    with_daemon { fails('E_NOT_MOUNTED', 'two lines in one', 'an error') }
    { 'storage.status' => ['E_NOT_MOUNTED', "two lines\r\nin one"] };
    eval { PVE::Vzvault::Client::call('storage.free', { storage => $STORAGE, volume => 'x' }) };
    like($@, qr/\Acannot call storage.free: .*\(E_ARGUMENT_INVALID: /,
        'ours come before connecting');
};

subtest 'log lines' => sub {
    my @lines;
    with_daemon {
        my $log = sub { push @lines, [@_] };
        PVE::Vzvault::Client::call(@STATUS_CALL, log => $log);
    } sub {
        my ($conn) = @_;
        $conn->greet();
        my $id = $conn->read_message()->{id};
        my $send = sub { $conn->send({ method => 'log', params => $_[0] }) };
        $send->({ level => 'info', message => 'one', request => $id });
        $send->({ level => 'warn', message => "Zürich\nZeile zwei" });
        $send->({ level => 'shout', message => 'three' });
        $send->({ level => 'err', message => '' });
        $send->($_) for undef, 'text', [];
        $conn->send({ method => 'unknown', params => {} });
        $conn->send({ id => $id, result => $STATUS });
    };
    my $utf8 = 'Zürich Zeile zwei';
    utf8::encode($utf8);
    is_deeply(
        \@lines,
        [['info', 'one'], ['warn', $utf8], ['info', 'three']],
        'reach the log function in order, as lines of UTF-8; unknown notifications do not matter',
    );
};

subtest 'signals' => sub {
    with_daemon {
        local $SIG{USR1} = sub { };
        my $parent = $$;
        my $child = fork() // die "fork: $!\n";
        if (!$child) {
            for (1 .. 20) { kill('USR1', $parent); select(undef, undef, undef, 0.02) }
            POSIX::_exit(0);
        }
        is_deeply(PVE::Vzvault::Client::call(@STATUS_CALL), $STATUS, 'interrupted calls go on');
        waitpid($child, 0);
    } { 'storage.status' => sub { select(undef, undef, undef, 0.6); return $STATUS } };
    with_daemon {
        my $left = alarm(0);
        local $SIG{ALRM} = sub { die "got timeout\n" };
        Time::HiRes::alarm(0.3);
        my $started = time();
        eval { PVE::Vzvault::Client::call(@STATUS_CALL) };
        is($@, "got timeout\n", "an alarm of PVE's gets through as it is");
        cmp_ok(time() - $started, '<', 1.5, 'when it goes off');
        alarm($left);
    } sub { $_[0]->greet(); sleep 30 };
    my $piped = 0;
    local $SIG{PIPE} = sub { $piped++ };
    my %large = (storage => $STORAGE, volume => 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv');
    with_daemon {
        fails('E_CONNECTION_LOST', 'storage.setNotes', 'a reader that goes away',
            'storage.setNotes', { %large, notes => 'x' x 4_000_000 });
        is($piped, 0, 'raises no SIGPIPE');
        is(ref($SIG{PIPE}), 'CODE', "and PVE's handler is in place again");
    } sub { $_[0]->greet() };
};

subtest 'the end of a connection' => sub {
    my $without_stdin = sub {
        open(my $stdin, '<&', \*STDIN) or die "dup: $!\n";
        close(STDIN);
        $_[0]->();
        open(STDIN, '<&', $stdin) or die "dup: $!\n";
    };
    with_daemon {
        $without_stdin->(sub {
            for (1, 2) {
                my $status = PVE::Vzvault::Client::call(@STATUS_CALL);
                is_deeply($status, $STATUS, 'comes with that of the call, also as descriptor 0');
            }
        });
    } { 'storage.status' => $STATUS };
    with_daemon {
        $without_stdin->(sub { fails('E_FRAME_INVALID', 'no code', 'one that fails') for 1, 2 });
    } sub {
        my ($conn) = @_;
        $conn->greet();
        $conn->send({ id => $conn->read_message()->{id}, error => {} });
        $conn->read_message();
    };
};

subtest 'large messages' => sub {
    my $notes = 'ü' x 400_000;
    my %call = (storage => $STORAGE, volume => 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv');
    with_daemon {
        my ($daemon) = @_;
        PVE::Vzvault::Client::call('storage.setNotes', { %call, notes => $notes });
        is($daemon->calls->[0]->{params}->{notes}, $notes, 'arrive whole at a slow reader');
    } { 'storage.setNotes' => {} };
};

done_testing();
