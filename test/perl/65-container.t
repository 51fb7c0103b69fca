#!/usr/bin/perl -T

# Containers: a real GNU tar on a small tree, and a daemon that reads what it writes.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes ();

use Fixtures qw($SCFG $STORAGE);
use ProviderFixtures;
use Taint qw(taint tainted_parts);

alarm(120); # a test that hangs shall fail
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin'; ## no critic (RequireLocalizedPunctuationVars)
delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};

my $LXC = 'backup/vzdump-lxc-101-2026_11_22-04_17_14.vzv';
my $MiB = 1024 * 1024;
my ($work) =
    File::Temp::tempdir('vzvault-ct-XXXXXXXX', TMPDIR => 1) =~ m/(.+)/; # untainted
END { system('rm', '-rf', $work) if $work }

sub spew {
    my ($path, $bytes) = @_;

    my ($dir) = "$work/$path" =~ m!\A(.*)/!;
    system('mkdir', '-p', $dir);
    open(my $fh, '>:raw', "$work/$path") or die "$path: $!\n";
    print {$fh} $bytes;
    close($fh) or die "$path: $!\n";
    return;
}

sub slurp {
    my ($path) = @_;

    open(my $fh, '<:raw', $path) or die "$path: $!\n";
    local $/;
    return scalar(<$fh>);
}

# A daemon's side of backup.container that takes all there is: into the files `stream`, `said`
# and `end` beside the tree.
sub taking {
    my ($params, $conn) = @_;

    my ($stream, $messages) = $conn->handles();
    local $/;
    spew('stream', scalar(<$stream>));
    spew('said', scalar(<$messages>) // '');
    my $end = $conn->ask('backup.archiveEnd', {})->{result};
    spew('end', join(' ', map { $_ // '-' } $end->@{qw(exitCode signal)}));
    return { addedBytes => 10, readBytes => 20, sizeBytes => 30 };
}

sub container_provider {
    my $provider = provider();
    $provider->job_init(1);
    $provider->backup_init('101', 'lxc', 1);
    return $provider;
}

# Runs the backup of the tree `root`; returns the daemon's requests.
sub backed_up {
    my ($excludes, $sources, %answer) = @_;

    my $info = { directory => taint("$work/root"), sources => $sources // ['./'] };
    return answered(sub {
        my $provider = container_provider();
        $provider->backup_container_prepare(taint('101'), $info);
        $provider->backup_container(taint('101'), taint("arch: amd64\n"), $excludes // [], $info);
    }, 'backup.container' => \&taking, %answer);
}

# The members of the stream, as tar tells their names.
sub members {
    open(my $tar, '-|', 'tar', '-tf', "$work/stream", '--quoting-style=escape') or die "tar: $!\n";
    chomp(my @names = <$tar>);
    close($tar);
    return [sort @names];
}

sub has_no_children {
    my ($name) = @_;

    return is(waitpid(-1, POSIX::WNOHANG()), -1, $name);
}

spew("root/$_", "content of $_\n") for 'bin/sh', 'etc/hostname', 'tmp/x', 'tmp/y z/deep',
    'home/a b/notes.bak', 'home/c/notes.bak', "home/c/caf\xe9", "home/c/new\nline", 'home/c/x[1]',
    'var/cache/apt/pkg', 'var/cache/keep', 'lost+found/lost', 'srv/lost+found/lost', 'srv/tail/x';

subtest 'a backup in the order of PVE' => sub {
    my ($mechanism, $result, $stats);
    my $config = taint("arch: amd64\n#caf\xc3\xa9\xff\n");
    my $info = {
        directory => taint("$work/root"),
        sources => [taint('./'), taint('./srv')],
        'backup-user-id' => 100000,
        'firewall-config' => '',
        'bandwidth-limit' => taint('10240'),
    };
    my $calls = answered(sub {
        my $provider = container_provider();
        $mechanism = $provider->backup_get_mechanism('101', 'lxc');
        $provider->backup_container_prepare(taint('101'), $info);
        $result = $provider->backup_container(taint('101'), $config, [taint('/tmp/?*')], $info);
        $stats = $provider->backup_cleanup('101', 'lxc', 1, {})->{stats};
        $provider->job_cleanup();
    }, 'backup.container' => \&taking, 'backup.mechanism' => { mechanism => 'directory' });
    is($mechanism, 'directory', 'wants a directory');
    is($result, undef, 'has a result that is JSON');
    is_deeply($stats, { 'archive-size' => 4096 }, 'tells what the daemon says was added');
    is_deeply(
        [map { $_->[0] } $calls->@*],
        [qw(job.begin backup.begin backup.mechanism backup.container backup.end job.end)],
        'is one call',
    );
    is_deeply(
        $calls->[3]->[1],
        {
            backupId => 'backup-1',
            configBase64 => encode_base64($config, ''),
            firewallBase64 => '',
            bandwidthLimitBytesPerSecond => 10240,
        },
        'with all that belongs to it',
    );
    is(slurp("$work/end"), '0 -', 'tar ended well');
    is(slurp("$work/said"), '', 'and said nothing');
    ok((grep { $_ eq './etc/hostname' } members()->@*), 'its members are as PVE wants them');
    has_no_children('no process is left');
};

subtest 'a child that PVE lost' => sub {
    my $ended = { addedBytes => 0 };
    my @calls;
    my $clean_up = sub {
        my ($success, %answer) = @_;
        my $stats;
        my $calls = answered(sub {
            $stats = eval { container_provider()->backup_cleanup(101, 'lxc', $success, {}) };
        }, 'backup.end' => $ended, %answer);
        @calls = map { $_->[0] } $calls->@*;
        return $stats;
    };
    my $info = Fixtures::entry(1_795_321_034, guestType => 'lxc', vmid => 101);
    is_deeply($clean_up->(1, 'storage.info' => $info), { stats => { 'archive-size' => 512 } },
        'where nothing is known to be added, the backup is looked for');
    is($clean_up->(1, 'storage.info' => ['E_SNAPSHOT_MISSING', 'none']), undef,
        'and one that is not there is no success');
    like($@, qr/\Anone \(E_SNAPSHOT_MISSING: /, 'as one line says');
    is_deeply($clean_up->(0), { stats => { 'archive-size' => 0 } }, 'a failure is known to be one');
    is($calls[-1], 'backup.end', 'and nothing is looked for');
};

subtest 'what is left out' => sub {
    my %case = (
        'nothing but lost+found' => [[], qr!lost\+found!],
        'anchored' => [['/tmp/?*', '/c'], qr!\A\./tmp/.|lost!],
        'anywhere' => [['*.bak', 'apt'], qr!\.bak\z|/apt|lost!],
        'two stars' => [['/home/**/notes.bak'], qr!notes\.bak|lost!],
        'a blank, brackets' => [['/home/a b', 'x\\[1\\]'], qr!a b|x\[1\]|lost!],
        'bytes that are no UTF-8' => [["caf\xe9"], qr!caf|lost!],
        'options in disguise' => [['--files-from=/etc/passwd', '-x'], qr!lost!],
    );
    system('tar', '-cf', "$work/stream", '-C', "$work/root", './');
    my $all = members();
    for my $name (sort keys %case) {
        my ($excludes, $gone) = $case{$name}->@*;
        backed_up([map { taint($_) } $excludes->@*]);
        is_deeply(members(), [grep { $_ !~ $gone } $all->@*], $name);
    }
    @LOG = ();
    backed_up(['/srv/tail/']);
    is_deeply(\@LOG, [['warn', "tar does not match exclusion with a trailing slash '/srv/tail/'"]],
        'a slash at the end matches nothing, and a warning says so');
};

subtest 'the copy of suspend mode' => sub {
    spew("root/etc/vzdump/$_", 'x') for 'pct.conf', 'pct.fw';
    backed_up(['/srv/tail/'], ['.']);
    is_deeply([grep { m/vzdump/ } members()->@*], [], "PVE's own files are left out");
    is_deeply(\@LOG, [], 'rsync has excluded, so there is nothing to warn of');
    spew('root/etc/vzdump/mine', 'x');
    backed_up([], ['.']);
    is_deeply([grep { m/vzdump/ } members()->@*], ['./etc/vzdump/', './etc/vzdump/mine'],
        'not what is the own of the container');
    backed_up();
    is(scalar(grep { m/vzdump/ } members()->@*), 4, 'in the other modes all is its own');
    system('rm', '-rf', "$work/root/etc/vzdump");
};

subtest 'what tar cannot read' => sub {
    backed_up([], ['./', './gone']);
    is(slurp("$work/end"), '2 -', 'is in its exit code');
    like(slurp("$work/said"), qr!\Atar: \./gone: Cannot stat: No such file!, 'and in what it says');
    my $dir = { directory => '/nonexistent/vzvault', sources => ['./'] };
    answered(sub {
        my $provider = container_provider();
        $provider->backup_container_prepare(101, $dir);
        $provider->backup_container(101, '', [], $dir);
    }, 'backup.container' => \&taking);
    is(slurp("$work/end"), '2 -', 'also where there is no directory');
    for my $bad ({ sources => ['/etc'] }, { sources => ['--help'] }, { directory => 'root' }) {
        my $info = { directory => "$work/root", sources => ['./'], $bad->%* };
        my $calls = answered(sub {
            my $provider = container_provider();
            $provider->backup_container_prepare(101, $info);
            eval { $provider->backup_container(101, '', [], $info) };
            like($@, qr/ \(E_ARGUMENT_INVALID: /, 'what is no source is refused');
        });
        is(scalar($calls->@*), 2, 'without a call');
    }
    answered(sub {
        eval { container_provider()->backup_container(101, '', [], {}) };
        like($@, qr/was not prepared \(E_ARGUMENT_INVALID: /, 'nor can be what is unprepared');
    });
};

subtest 'a daemon that gives up' => sub {
    spew('root/large', 'l' x (4 * $MiB)); # more than a pipe holds
    my $error = sub { return ['E_NO_SPACE', 'no room'] };
    my $began = time();
    eval { backed_up([], ['./'], 'backup.container' => $error) };
    is($@, "no room (E_NO_SPACE: the hint of E_NO_SPACE)\n", 'is one line');
    has_no_children('tar is killed and reaped');

    my $cut = sub {
        my ($params, $conn) = @_;
        close($_) for $conn->handles();
        my $end = $conn->ask('backup.archiveEnd', {})->{result};
        spew('end', join(' ', map { $_ // '-' } $end->@{qw(exitCode signal)}));
        return ['E_ARCHIVE_INVALID', 'cut short'];
    };
    eval { backed_up([], ['./'], 'backup.container' => $cut) };
    is(slurp("$work/end"), '- 13', 'a stream that nobody reads ends tar by SIGPIPE');

    eval { backed_up([], ['./'], 'backup.container' => sub { die "gone\n" }) };
    like($@, qr/ \(E_CONNECTION_LOST: /, 'so does a daemon that dies');
    has_no_children('nothing is left');
    cmp_ok(time() - $began, '<', 20, 'all of it at once');
};

# As PVE does it (pve-common Tools.pm, run_fork): a child whose output is read to its end.
sub in_child {
    my ($code) = @_;

    pipe(my $read, my $write) or die "pipe: $!\n";
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        close($read);
        eval { $code->($write); print {$write} "done\n"; 1 } or print {$write} "died: $@";
        $write->flush();
        POSIX::_exit(0);
    }
    close($write);
    my $output = do { local $/; <$read> };
    waitpid($pid, 0);
    return $output;
}

subtest 'in a child of PVE' => sub {
    my $info = { directory => "$work/root", sources => ['./'] };
    my $run = sub {
        my ($prelude, %answer) = @_;
        my $output;
        my $calls = answered(sub {
            my $provider = container_provider();
            $provider->backup_container_prepare(101, $info);
            $output = in_child(sub {
                $prelude->();
                local $ENV{VZVAULT_SOCKET} = '/nonexistent'; # as good as in another namespace
                $provider->backup_container(101, "arch: amd64\n", [], $info);
            });
            $provider->backup_cleanup(101, 'lxc', $output eq "done\n", {});
        }, 'backup.container' => \&taking, %answer);
        return ($output, $calls);
    };
    my ($output, $calls) = $run->(sub { });
    is($output, "done\n", 'the connection of the parent serves');
    is(slurp("$work/end"), '0 -', 'and tar is its own child');
    is($calls->[-1]->[0], 'backup.end', 'the parent goes on');

    ($output) = $run->(sub { close($_) for *STDIN, *STDOUT, *STDERR });
    is($output, "done\n", 'standard descriptors may be closed');
    is(slurp("$work/end"), '0 -', 'and become those of tar');
    is(slurp("$work/said"), '', 'which says nothing');
    ok(scalar(members()->@*) > 10, 'and the stream is whole');

    ($output) = $run->(sub { $SIG{CHLD} = 'IGNORE'; $SIG{PIPE} = 'IGNORE' });
    is(slurp("$work/end"), '0 -', 'ignored signals keep nothing from being known');

    my $slow = sub {
        my ($params, $conn) = @_;
        my ($stream) = $conn->handles();
        sysread($stream, my $bytes, 1000);
        Time::HiRes::sleep(30);
        return {};
    };
    my $began = time();
    ($output) = $run->(
        sub {
            $SIG{ALRM} = sub { die "interrupted by signal\n" };
            alarm(1);
        },
        'backup.container' => $slow,
    );
    is($output, "died: interrupted by signal\n", 'a signal of PVE ends it');
    cmp_ok(time() - $began, '<', 15, 'at once: tar holds no pipe of PVE');
};

subtest 'a restore in the order of PVE' => sub {
    my %path = (tar => '/run/vzvault/mounts/r/root.tar', directory => '/run/vzvault/mounts/r/root');
    my %answer = (
        'restore.begin' =>
            { restoreId => 'r', disks => {}, archives => [{ name => 'root', sizeBytes => 5 }] },
        'restore.openArchive' => sub { return { path => $path{ $_[0]->{mechanism} } } },
        'storage.readConfig' => sub {
            my $config = $_[0]->{name} eq 'guest.conf';
            return { contentBase64 => $config ? encode_base64("arch: amd64\n", '') : undef };
        },
    );
    for my $setting (undef, 'tar', 'directory') {
        local $SCFG->{'vzvault-ct-restore'} = taint($setting) if defined($setting);
        my $mechanism = $setting // 'tar';
        my (@mechanism, $init, $config, @later);
        my $calls = answered(sub {
            my ($provider, $volname) = (provider(), taint($LXC));
            $config = $provider->archive_get_guest_config($volname, 'vault');
            @mechanism = $provider->restore_get_mechanism($volname, 'vault');
            $init = $provider->restore_container_init($volname, 'vault', {});
            $provider->restore_container_cleanup($volname, 'vault', {}) for 1, 2;
            local $ENV{VZVAULT_SOCKET} = '/tmp/vzvault-test-nowhere/sock';
            @later = map { provider()->$_($volname, 'vault') }
                qw(archive_get_guest_config archive_get_firewall_config);
        }, %answer);
        is_deeply(\@mechanism, [$mechanism, 'lxc'], "is done by $mechanism");
        my $key = $mechanism eq 'tar' ? 'tar-path' : 'archive-directory';
        is_deeply($init, { $key => $path{$mechanism} }, 'gives a path');
        is($config, "arch: amd64\n", 'and the configuration');
        is_deeply(\@later, ["arch: amd64\n", undef], 'which a new object knows without a daemon');
        is_deeply([tainted_parts([@mechanism, $init, $config, @later])], [], 'nothing is tainted');
        my @file = (storage => $STORAGE, volume => $LXC);
        is_deeply(
            [grep { $_->[0] ne 'storage.readConfig' } $calls->@*],
            [
                ['restore.begin', {@file}],
                ['restore.openArchive', { restoreId => 'r', mechanism => $mechanism }],
                ['restore.end', { restoreId => 'r' }],
            ],
            'in three calls',
        );
        is_deeply(
            [$calls->@[-4, -3]],
            [map { ['storage.readConfig', { @file, name => $_ }] } qw(guest.conf firewall.conf)],
            'and two that read the configurations before the data',
        );
    }
    my $elsewhere = 'backup/vzdump-lxc-102-2026_11_22-04_17_14.vzv';
    is(scalar(answered(sub { provider()->archive_get_guest_config($elsewhere) }, %answer)->@*), 1,
        'those of another backup are asked for');
    {
        local $SCFG->{path} = '/mnt/elsewhere';
        is(scalar(answered(sub { provider()->archive_get_guest_config($LXC) }, %answer)->@*), 1,
            'and those of another repository');
    }
    my $calls = answered(sub {
        eval { provider()->restore_container_init($LXC, 'vault', {}) };
        is($@, "no fuse (E_MOUNT_FAILED: the hint of E_MOUNT_FAILED)\n", 'a failure is one line');
    }, %answer, 'restore.openArchive' => ['E_MOUNT_FAILED', 'no fuse']);
    is($calls->[-1]->[0], 'restore.end', 'and ends what had begun, since PVE would not');
};

done_testing();
