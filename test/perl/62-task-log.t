#!/usr/bin/perl -T

# The provider: the log of a guest's backup goes to the daemon, and never fails the job.

use strict;
use warnings;

use File::Temp ();
use MIME::Base64 qw(decode_base64);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FakeDaemon;
use ProviderFixtures;
use Taint qw(taint);
use PVE::Vzvault::TaskLog;

alarm(120); # a test that hangs shall fail

my $MIB = 1024 * 1024;
my $DIR = File::Temp->newdir();
my ($BASE) = "$DIR" =~ m!\A(/tmp/\w+)\z!;

sub file {
    my ($content) = @_;

    open(my $fh, '>:raw', "$BASE/log") or die "$BASE/log: $!\n";
    print {$fh} $content;
    close($fh) or die "$BASE/log: $!\n";
    return taint("$BASE/log");
}

# Runs $code with a provider whose backup of guest 100 has ended; returns the logs that were kept,
# as [backup id, bytes].
sub kept {
    my ($code, %answer) = @_;

    my $calls = answered(sub {
        my $provider = working_provider(100);
        $provider->backup_cleanup(100, 'qemu', 1, {});
        $code->($provider);
    }, %answer);
    return [
        map { [$_->[1]->{backupId}, decode_base64($_->[1]->{logBase64})] }
        grep { $_->[0] eq 'backup.keepLog' } $calls->@*
    ];
}

subtest 'the content' => sub {
    my $content = sub { return PVE::Vzvault::TaskLog::content(@_) };
    is($content->(file($_), 1000), $_, 'is that of the file')
        for '', "one\n", "\xff\0\r\n", 'x' x 1000;

    my $lines = join('', map { sprintf("%07d\n", $_) } 1 .. 1000);
    my $cut = $content->(file($lines), 1000);
    cmp_ok(length($cut), '<=', 1000, 'has a bound');
    my ($head, $bytes, $tail) =
        $cut =~ m/\A(.*\n)\[\.\.\. ([0-9]+) bytes of this log are left out here \.\.\.\]\n(.*)\z/s;
    is($head . $tail, join('', grep { m/./ } split(/^/, $head . $tail)), 'has lines');
    is(substr($lines, 0, length($head)), $head, 'that are the first');
    is(substr($lines, -length($tail)), $tail, 'and the last');
    is($bytes, length($lines) - length($head) - length($tail), 'and says what is missing');
    cmp_ok(length($cut), '>', 850, 'but not more than has to');

    $cut = $content->(file('y' x 5000), 1000);
    like($cut, qr/\Ay{450}\n\[\.\.\. 4100 bytes [^\n]*\]\ny{450}\z/, 'also where there is no line');
    $cut = $content->(file("\n" x 5000), 1000);
    like($cut, qr/\A\n{450}\[\.\.\. 4101 bytes [^\n]*\]\n\n{449}\z/, 'or nothing but lines');
};

subtest 'a log' => sub {
    my $log = "INFO: caf\xc3\xa9\n\xff";
    my $kept = kept(sub { $_[0]->backup_handle_log_file(taint('100'), file($log)) });
    is_deeply($kept, [['backup-1', $log]], 'goes to the backup that ended, byte for byte');
    is_deeply(\@LOG, [], 'without a word');

    my $long = 'x' x (5 * $MIB);
    $kept = kept(sub { $_[0]->backup_handle_log_file(100, file($long)) });
    cmp_ok(length($kept->[0]->[1]), '<=', 4 * $MIB, 'is cut where it is longer than 4 MiB');
    cmp_ok(length($kept->[0]->[1]), '>', 4 * $MIB - 200, 'to as much');
    like($kept->[0]->[1], qr/^\[\.\.\. [0-9]+ bytes of this log/m, 'and says so');

    $kept = kept(sub { $_[0]->backup_handle_log_file(100, file('x')) for 1, 2 });
    is(scalar($kept->@*), 1, 'is kept once');
    $kept = kept(sub {
        my ($provider) = @_;
        $provider->backup_handle_log_file(101, file('x'));
        $provider->backup_handle_log_file(undef, file('x'));
    });
    is_deeply($kept, [], 'of a guest that has no backup is nothing');
    is_deeply(\@LOG, [], 'without a word');

    my $calls = answered(sub {
        my $provider = working_provider(100);
        $provider->backup_handle_log_file(100, file('x'));
    });
    is($calls->[2]->[0], 'backup.keepLog', 'may come without a cleanup before it');

    my $n = 0;
    $kept = kept(sub {
        my ($provider) = @_;
        eval { $provider->backup_init(100, 'qemu', 2) };
        $provider->backup_handle_log_file(100, file('x'));
    }, 'backup.begin' => sub {
        return $n++ ? ['E_GUEST_BUSY', 'x'] : {
            backupId => 'b',
            volume => 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv',
        };
    });
    is_deeply($kept, [], 'of a backup that did not begin does not go to the one before');
    kept(sub { $_[0]->backup_handle_log_file(100, file('x')) },
        'backup.keepLog' => { kept => Data::MessagePack::false() });
    is_deeply(\@LOG, [], 'may have no snapshot to go to');
};

subtest 'a failure' => sub {
    my $pipe = "$BASE/pipe";
    POSIX::mkfifo($pipe, 0600) or die "mkfifo: $!\n";
    my %bad = (
        'a file that is not there' => ["$BASE/nothing", qr/is not a regular file/],
        'a directory' => [$BASE, qr/is not a regular file/],
        'a pipe' => [$pipe, qr/is not a regular file/],
        'no file' => [undef, qr/there is no file/],
    );
    for my $name (sort keys %bad) {
        my ($file, $why) = $bad{$name}->@*;
        my $lives;
        my $kept = kept(sub { $lives = eval { $_[0]->backup_handle_log_file(100, $file); 1 } });
        ok($lives, "of $name does not die");
        is_deeply($kept, [], 'keeps nothing');
        is(scalar(@LOG), 1, 'is one line');
        is($LOG[0]->[0], 'warn', 'a warning');
        like($LOG[0]->[1], qr/\Acannot keep the task log of 100: [^\n]*$why/, 'that says why');
    }

    my $lives;
    my $handle = sub { $lives = eval { $_[0]->backup_handle_log_file(100, file('x')); 1 } };
    kept($handle, 'backup.keepLog' => ['E_STORAGE_IO', 'disk on fire']);
    ok($lives, 'of the daemon does not die');
    is_deeply(
        \@LOG,
        [['warn', 'cannot keep the task log of 100: disk on fire (E_STORAGE_IO: the hint of'
            . ' E_STORAGE_IO)']],
        'but is a warning',
    );
    kept($handle, 'backup.keepLog' => { kept => 'maybe' });
    ok($lives, 'an answer that does not fit does not either');
    is(scalar(@LOG), 1, 'and is a warning too');
    kept(sub { local $ENV{VZVAULT_SOCKET} = "$BASE/nowhere"; $handle->(@_) });
    ok($lives, 'a daemon that is gone is none');
    is_deeply(\@LOG, [], 'what failed by that has said so');
    kept($handle, 'backup.keepLog' => sub { die "gone\n" });
    ok($lives, 'nor one that goes meanwhile');
    is_deeply(\@LOG, [], 'also without a word');
    kept(sub {
        my ($provider) = @_;
        $provider->{log} = sub { die "the log is full\n" };
        $handle->($provider);
    }, 'backup.keepLog' => ['E_STORAGE_IO', 'disk on fire']);
    ok($lives, 'nor does a log function that dies matter');

    my $started = time();
    {
        no warnings 'once';
        local $PVE::Vzvault::Schema::METHOD{'backup.keepLog'}->{seconds} = 0.5;
        kept($handle, 'backup.keepLog' => sub { sleep 30 });
    }
    ok($lives, 'a daemon that hangs does not');
    cmp_ok(time() - $started, '<', 5, 'keep the next guest waiting for ever');
    like($LOG[0]->[1], qr/\(E_DEADLINE: /, 'and is a warning');

    kept(sub {
        local $SIG{USR1} = sub { die "interrupted by signal\n" };
        $handle->($_[0]);
    }, 'backup.keepLog' => sub { kill('USR1', getppid()); sleep 30 });
    ok(!$lives, 'only a signal that ends the whole job gets through');
    is($@, "interrupted by signal\n", 'as it is');
};

done_testing();
