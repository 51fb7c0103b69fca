#!/usr/bin/perl -T

# The client: requests of the daemon while it answers, and descriptors that go with a call.

use strict;
use warnings;
use utf8;

use Test::More;

use FakeDaemon qw(with_daemon);
use PVE::Vzvault::Client;
use PVE::Vzvault::Error;

alarm(120); # a test that hangs shall fail

my $STATUS = { totalBytes => 3, availableBytes => 2, usedBytes => 1 };
my $STORAGE = { id => 'vault', path => '/mnt/vault', isMountpoint => '' };
my @STATUS_CALL = ('storage.status', { storage => $STORAGE });

sub fails {
    my ($pattern, $name, @fds) = @_;

    my $result = eval { PVE::Vzvault::Client::call('daemon.ping', {}, fds => \@fds) };
    is($result, undef, "$name: no result");
    like($@, qr/\A[^\n]*$pattern[^\n]* \(E_ARGUMENT_INVALID: [^\n]+\)\n\z/, "$name: says so");
    return;
}

subtest 'requests of the daemon' => sub {
    my @answers;
    my $asking = sub {
        my ($method, @params) = @_;
        return sub {
            my ($conn) = @_;
            $conn->greet();
            my $id = $conn->read_request()->{id};
            for my $n (0 .. $#params) {
                $conn->send({ id => 5 + $n, method => $method, params => $params[$n] });
                $conn->read_request();
            }
            $conn->send({ id => $id, result => $STATUS });
        };
    };
    my $call = sub {
        my ($script, $handler) = @_;
        my $handlers = $handler ? { 'backup.nextDirtyRegions' => $handler } : {};
        with_daemon {
            my ($daemon) = @_;
            my $result = eval { PVE::Vzvault::Client::call(@STATUS_CALL, handlers => $handlers) };
            (undef, @answers) = $daemon->calls->@*;
            return if $@;
            is_deeply($result, $STATUS, 'the call goes on');
        } $script;
        return $@;
    };
    my $regions = 'backup.nextDirtyRegions';
    my $scsi = { device => 'drive-scsi0' };

    $call->($asking->('source.next', {}, {}));
    is_deeply([map { $_->{id} } @answers], [5, 6], 'each is answered');
    is($answers[0]->{error}->{code}, 'E_METHOD_UNKNOWN', 'with E_METHOD_UNKNOWN');
    ok(!$answers[0]->{error}->{retryable}, 'which is not retryable');
    $call->($asking->($regions, $scsi));
    is($answers[0]->{error}->{code}, 'E_METHOD_UNKNOWN', 'also where this call has no handler');

    my $seen;
    $call->($asking->($regions, { $scsi->%*, x => 1 }, { device => 'drive-ide0' }), sub {
        ($seen) = @_;
        my $is_done = $seen->{device} eq 'drive-ide0';
        return { regions => [['0', '4194304'], [8388608.0, 1]], done => $is_done };
    });
    is_deeply($seen, { device => 'drive-ide0' }, 'or by the handler, which gets clean params');
    is_deeply(
        [map { $_->{result} } @answers],
        [
            { regions => [[0, 4194304], [8388608, 1]], done => JSON::PP::false() },
            { regions => [[0, 4194304], [8388608, 1]], done => JSON::PP::true() },
        ],
        'and whose answer is made clean',
    );

    $call->($asking->($regions, { device => '/etc/passwd' }, {}, 'text'), sub { die "asked\n" });
    is_deeply([map { $_->{error}->{code} } @answers], [('E_ARGUMENT_INVALID') x 3],
        'wrong params do not reach it');
    my %unfit = (
        'a list that is none' => { regions => {}, done => 1 },
        'a region of three' => { regions => [[0, 1, 2]], done => 1 },
        'a region of nothing' => { regions => [[0, 0]], done => 1 },
        'a negative region' => { regions => [[-1, 1]], done => 1 },
        'a region that is text' => { regions => [['a', 1]], done => 1 },
        'too many regions' => { regions => [([0, 1]) x 4097], done => 0 },
        'no end' => { regions => [] },
    );
    for my $name (sort keys %unfit) {
        $call->($asking->($regions, $scsi), sub { return $unfit{$name} });
        is($answers[0]->{error}->{code}, 'E_SOURCE_BITMAP', "$name is not sent");
    }

    $call->($asking->($regions, $scsi), sub {
        PVE::Vzvault::Error::raise('E_SOURCE_BITMAP', "M\xc3\xbcll");
    });
    my $error = $answers[0]->{error};
    is($error->{message}, 'Müll', 'an error of ours is told, in characters');
    is($error->{hint}, $PVE::Vzvault::Error::HINT{E_SOURCE_BITMAP}, 'with its hint');
    ok($error->{retryable}, 'and whether it is retryable');
    is($call->($asking->($regions, $scsi), sub { die "interrupted by signal\n" }),
        "interrupted by signal\n", 'any other die ends the call as it is');
    is_deeply(\@answers, [], 'unanswered');
};

subtest 'descriptors' => sub {
    my (@readers, @writers);
    for (1 .. 64) {
        pipe(my $reader, my $writer) or die "pipe: $!\n";
        push @readers, $reader;
        push @writers, $writer;
    }
    my $answer = { version => '0.1.0', pid => 7 };
    my $script = {
        'daemon.ping' => sub {
            my ($params, $conn) = @_;
            my $n = 0;
            for my $handle ($conn->handles) {
                print {$handle} "through descriptor ", $n++, "\n";
                close($handle) or die "close: $!\n";
            }
            return $answer;
        },
    };
    with_daemon {
        my ($daemon) = @_;
        PVE::Vzvault::Client::call('daemon.ping', {}, fds => [$writers[7], $writers[0]]);
        is_deeply(
            [map { scalar(readline($_)) } @readers[7, 0]],
            ["through descriptor 0\n", "through descriptor 1\n"],
            'travel with their frame, in order',
        );
        is($daemon->calls->[0]->{fds}, 2, 'which declares them');
        PVE::Vzvault::Client::call('daemon.ping', {}, fds => \@writers);
        is_deeply(
            [map { scalar(readline($_)) } @readers],
            [map { "through descriptor $_\n" } 0 .. 63],
            'as many as a VM may have disks',
        );
        fails('65 descriptors', 'more than a frame may have', @writers, $readers[0]);
        close($writers[3]);
        fails('not open', 'one that is closed', @writers);
    } $script;
};

done_testing();
