#!/usr/bin/perl -T

# The provider: what it asks PVE's own modules about a VM, and the mechanism file-handle.

use strict;
use warnings;

use Test::More;

use Fixtures qw($SCFG $STORAGE);
use ProviderFixtures;
use Taint qw(taint);

alarm(120); # a test that hangs shall fail

my $GRANULE = 4 * 1024 * 1024;
my $DONE = { addedBytes => 0, readBytes => 0, sizeBytes => 0 };

sub disk {
    my ($mode, %more) = @_;

    return { size => 2**40, 'bitmap-mode' => $mode, 'nbd-path' => '/run/nbd', %more };
}

# What backup.queryIncremental is told of QEMU's process.
sub qemu_pid {
    my $calls = answered(sub {
        working_provider(100)->backup_vm_query_incremental(taint('100'), {});
    });
    return $calls->[2]->[1]->{qemuPid};
}

# The disks that backup.vm is told of, as "device dirtyBytes".
sub dirty_bytes {
    my ($volumes) = @_;

    my $calls = answered(sub {
        working_provider(100)->backup_vm(taint('100'), "memory: 1\n", $volumes, {});
    }, 'backup.vm' => $DONE);
    return [map { "$_->{device} " . ($_->{dirtyBytes} // 'nil') } $calls->[2]->[1]->{disks}->@*];
}

subtest "QEMU's process" => sub {
    is(qemu_pid(), undef, "is not known without PVE's modules");
    no warnings 'once';
    my ($answer, @asked);
    local *PVE::QemuServer::Helpers::vm_running_locally = sub { @asked = @_; return $answer->() };
    for my $case (['4711', 4711], [4711, 4711], [undef, undef], ['', undef], ['0', undef],
        ["1\n", undef], ['-1', undef], ['x', undef]) {
        $answer = sub { return $case->[0] };
        is(qemu_pid(), $case->[1], 'is as PVE says: ' . ($case->[0] // 'nothing'));
    }
    $answer = sub { return };
    is(qemu_pid(), undef, 'even where it says nothing at all');
    is_deeply(\@asked, [100], 'of this guest');
    $answer = sub { return taint('4711') };
    is(qemu_pid(), 4711, 'whatever taint has');
    $answer = sub { die "no such thing\n" };
    is(qemu_pid(), undef, 'is not known where PVE dies');
    $answer = sub { die "interrupted by signal\n" };
    answered(sub {
        my $provider = working_provider(100);
        ok(!eval { $provider->backup_vm_query_incremental(100, {}) }, 'but a signal ends the job');
    });
    is($@, "interrupted by signal\n", 'as it is');
};

subtest 'dirty bytes' => sub {
    my %volumes = ('drive-scsi0' => disk('reuse'), 'drive-scsi1' => disk('new'));
    my $nothing = ['drive-scsi0 nil', 'drive-scsi1 nil'];
    is_deeply(dirty_bytes(\%volumes), $nothing, "are not known without PVE's modules");
    is_deeply(
        \@LOG,
        [[
            'warn',
            'cannot learn how much changed on the disks of 100: PVE::QemuServer::Monitor is not'
                . ' loaded',
        ]],
        'which is a warning',
    );

    no warnings 'once';
    my ($answer, @asked);
    local *PVE::QemuServer::Monitor::mon_cmd = sub { push @asked, [@_]; return $answer->() };
    my @info = (
        { drive => 'drive-scsi0', action => 'used', size => 2**40, dirty => taint($GRANULE) },
        { drive => 'drive-scsi1', action => 'new', size => 2**40, dirty => 2**40 },
        { drive => 'drive-gone', action => 'used', size => 1, dirty => 1 },
        {},
    );
    $answer = sub { return \@info };
    is_deeply(dirty_bytes(\%volumes), ["drive-scsi0 $GRANULE", 'drive-scsi1 nil'],
        'are what QEMU counted where a bitmap is used');
    is_deeply(\@asked, [[100, 'query-pbs-bitmap-info']], 'QEMU is asked once');
    is_deeply(\@LOG, [], 'without a word');
    $answer = sub { return [{ drive => 'drive-scsi0', dirty => 0 }] };
    is_deeply(dirty_bytes(\%volumes), ['drive-scsi0 0', 'drive-scsi1 nil'], 'may be none at all');

    @asked = ();
    is_deeply(dirty_bytes({ 'drive-scsi0' => disk('new') }), ['drive-scsi0 nil'], 'are nothing');
    is_deeply(\@asked, [], 'and not asked for where no bitmap is used');

    for my $odd (undef, {}, [], [{ drive => 'drive-scsi0' }],
        [{ drive => 'drive-scsi0', dirty => 'many' }], [{ drive => 'drive-scsi0', dirty => -1 }]) {
        $answer = sub { return $odd };
        is_deeply(dirty_bytes(\%volumes), $nothing, 'are not known where the answer is odd');
    }
    $answer = sub { die "VM 100 qmp command failed\nat line 3\n" };
    is_deeply(dirty_bytes(\%volumes), $nothing, 'nor where QEMU does not answer');
    like($LOG[0]->[1], qr/: VM 100 qmp command failed at line 3\z/, 'a warning, in one line');
    $answer = sub { die "VM 100 qmp command failed - interrupted by signal\n" };
    answered(sub {
        my $provider = working_provider(100);
        ok(!eval { $provider->backup_vm(100, 'x', \%volumes, {}); 1 }, 'but a signal ends the job');
    });
    like($@, qr/interrupted by signal\n\z/, 'as it is');
};

# A disk as the mechanism file-handle gives it: a pipe with the device's name in it, and a function
# for its regions.
sub file_handle_disk {
    my ($device, $regions) = @_;

    pipe(my $reader, my $writer) or die "pipe: $!\n";
    print {$writer} $device;
    close($writer) or die "close: $!\n";
    my $next = sub {
        my $region = shift $regions->@* // return;
        return ref($region) eq 'CODE' ? $region->() : $region->@*;
    };
    return {
        size => 2**40,
        'bitmap-mode' => 'new',
        'file-handle' => $reader,
        'next-dirty-region' => $next,
    };
}

# Backs these volumes up with a daemon that calls $script with its connection; returns the error,
# and leaves what the daemon logged in @LOG.
sub backed_up {
    my ($volumes, $script) = @_;

    my $error;
    my $calls = answered(sub {
        my $provider = working_provider(100);
        $error = eval { $provider->backup_vm(100, "memory: 1\n", $volumes, {}); 1 } ? '' : $@;
    }, 'backup.vm' => sub {
        my ($params, $conn) = @_;
        my $say = sub { $conn->send({ method => 'log', params => { message => $_[0] } }) };
        return $script->($conn, $say) // $DONE;
    });
    return ($error, $calls->[2]->[1]);
}

# Asks for the regions of a device until they are done; says each batch as "count first-last done".
sub batches {
    my ($conn, $say, $device) = @_;

    while (1) {
        my $answer = $conn->ask('backup.nextDirtyRegions', { device => $device });
        return [$answer->{error}->@{qw(code message)}] if $answer->{error};
        my @regions = $answer->{result}->{regions}->@*;
        my $is_done = $answer->{result}->{done} ? 'done' : 'more';
        my @ends = map { join('+', $_->@*) } @regions ? @regions[0, -1] : ();
        $say->(join(' ', scalar(@regions), @ends, $is_done));
        return if $answer->{result}->{done};
    }
}

subtest 'file handles' => sub {
    my %volumes = map { $_ => file_handle_disk($_, []) } map { "drive-scsi$_" } 0 .. 19;
    my ($error, $params) = backed_up(\%volumes, sub {
        my ($conn, $say) = @_;
        $say->(readline($_)) for $conn->handles;
        return;
    });
    is($error, '', 'are taken');
    my @devices = map { $_->{device} } $params->{disks}->@*;
    is(scalar(@devices), 20, 'as many as there are disks');
    is_deeply([map { $_->[1] } @LOG], \@devices, 'go to the daemon in the order of the disks');
    is_deeply([grep { defined($_->{nbdPath}) || defined($_->{bitmapName}) } $params->{disks}->@*],
        [], 'which have no socket and no bitmap name then');

    delete $volumes{'drive-scsi3'}->{'file-handle'};
    ($error) = backed_up(\%volumes, sub { die "called\n" });
    like($error, qr/\Anot every disk of 100 came with a file handle \(E_ARGUMENT_INVALID: /,
        'are wanted of every disk or of none');
    my %many = map { ("drive-scsi$_" => $volumes{'drive-scsi0'}) } 1 .. 65;
    ($error) = backed_up(\%many, sub { die "called\n" });
    like($error, qr/\A[^\n]*too many entries \(E_ARGUMENT_INVALID: /, 'of 64 disks at most');
};

subtest 'dirty regions' => sub {
    my @regions = map { [2 * $_ * $GRANULE, taint($GRANULE)] } 0 .. 9_999;
    my %volumes = (
        'drive-scsi0' => file_handle_disk('a', [@regions]),
        'drive-scsi1' => file_handle_disk('b', [[0, 1]]),
        'drive-scsi2' => file_handle_disk('c', []),
        'drive-scsi3' => file_handle_disk('d', [@regions[0 .. 4095], sub { return (undef) }]),
    );
    my ($error) = backed_up(\%volumes, sub {
        my ($conn, $say) = @_;
        batches($conn, $say, $_) for map { "drive-scsi$_" } 1, 2, 0, 3, 2;
        return;
    });
    my @at = map { 2 * $_ * $GRANULE . "+$GRANULE" } 0 .. 9_999;
    is($error, '', 'are told');
    is_deeply(
        [map { $_->[1] } @LOG],
        [
            '1 0+1 0+1 done',
            '0 done',
            "4096 $at[0] $at[4095] more",
            "4096 $at[4096] $at[8191] more",
            "1808 $at[8192] $at[9999] done",
            "4096 $at[0] $at[4095] more",
            '0 done',
            '0 done',
        ],
        'a batch at a time, to the end, which stays',
    );

    for my $case (
        [sub { die "unexpected output: x\n\n" }, 'unexpected output: x'],
        [sub { return ('x', 1) }, "'x', '1' is not a region"],
        [sub { return (5, 0) }, "'5', '0' is not a region"],
        [sub { return (5) }, "'5', '' is not a region"],
        [sub { return (5, -5) }, "'5', '-5' is not a region"],
    ) {
        my ($region, $why) = $case->@*;
        my $listing = [[0, 1], $region, [8, 1]];
        ($error) = backed_up({ 'drive-scsi0' => file_handle_disk('x', $listing) }, sub {
            my ($conn, $say) = @_;
            batches($conn, $say, 'drive-scsi0');
            return batches($conn, $say, 'drive-scsi0');
        });
        is_deeply(\@LOG, [], 'a function that fails gives nothing, also when it is asked again');
        my $line = "listing the dirty regions of drive-scsi0: $why (E_SOURCE_BITMAP: ";
        like($error, qr/\A\Q$line\E[^\n]+\)\n\z/, 'and the backup fails with what it said');
    }

    ($error) = backed_up({ 'drive-scsi0' => file_handle_disk('x', []) }, sub {
        my ($conn, $say) = @_;
        return batches($conn, $say, 'drive-scsi1');
    });
    like($error, qr/\AProxmox VE lists no dirty regions of drive-scsi1 \(E_SOURCE_BITMAP: /,
        'of another device there are none');
    my $interrupted = [sub { die "interrupted by signal\n" }];
    ($error) = backed_up({ 'drive-scsi0' => file_handle_disk('x', $interrupted) }, \&batches_of_0);
    is($error, "interrupted by signal\n", 'a signal ends the job as it is');
    ($error) = backed_up({ 'drive-scsi0' => disk('new') }, \&batches_of_0);
    like($error, qr/does not know the call backup.nextDirtyRegions \(E_METHOD_UNKNOWN: /,
        'nobody lists them with the mechanism nbd');
};

sub batches_of_0 { return batches(@_, 'drive-scsi0') }

subtest 'the mechanism' => sub {
    for my $mechanism (qw(nbd file-handle)) {
        local $SCFG->{'vzvault-vm-mechanism'} = taint($mechanism);
        my $calls = answered(sub {
            my $provider = working_provider(100);
            is($provider->backup_get_mechanism(100, 'qemu'), $mechanism, "may be $mechanism");
        }, 'backup.mechanism' => { mechanism => $mechanism });
        is_deeply($calls->[0]->[1]->{storage}, { $STORAGE->%*, vmMechanism => $mechanism },
            'as the storage says');
    }
    answered(sub {
        my $provider = working_provider(100);
        eval { $provider->backup_get_mechanism(100, 'qemu') };
        like($@, qr/is not a mechanism \(E_FRAME_INVALID: /, 'and nothing else');
    }, 'backup.mechanism' => { mechanism => 'pipe' });
};

done_testing();
