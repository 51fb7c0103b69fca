#!/usr/bin/perl -T

use strict;
use warnings;
use utf8;

use Data::MessagePack;
use Test::More;

use Taint qw(taint tainted_parts);
use PVE::Vzvault::Frame;
use PVE::Vzvault::Schema;
use PVE::Vzvault::Section;

my $VOLUME = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';
my $STORAGE = { id => 'vault', path => '/mnt/vault', isMountpoint => '' };
my $ENTRY = {
    volume => $VOLUME,
    guestType => 'qemu',
    vmid => 100,
    timeSeconds => 1795321034,
    sizeBytes => 68719476736,
    addedBytes => 0,
    notes => "Zürich\nsecond line",
    protected => Data::MessagePack::true(),
    verifyState => 'none',
};

sub refused {
    my ($code, $pattern, $direction, $method, $value, $name) = @_;

    my $check = PVE::Vzvault::Schema->can($direction);
    my $clean = eval { $check->($method, $value) };
    like($@, qr/\A[^\n]*$pattern[^\n]* \($code: [^\n]+\)\n\z/, $name);
    return;
}

sub params_refused { return refused('E_ARGUMENT_INVALID', $_[2], 'params', @_[0, 1, 3]) }
sub result_refused { return refused('E_FRAME_INVALID', $_[2], 'result', @_[0, 1, 3]) }

# what PVE hands over is text, and tainted
my $params = PVE::Vzvault::Schema::params(
    'storage.list',
    {
        storage => { id => taint('vault'), path => taint('/mnt/vault'), isMountpoint => '' },
        vmid => taint('100'),
    },
);
is_deeply($params, { storage => $STORAGE, vmid => 100 }, 'coerces parameters');
is_deeply([tainted_parts($params)], [], 'and untaints them');
like(PVE::Vzvault::Frame::encode({ v => $params->{vmid} }), qr/\xa1v\x64\z/,
    'so that a number goes out as a number');

my $clean = PVE::Vzvault::Schema::params('storage.setNotes',
    { storage => $STORAGE, volume => $VOLUME, notes => "caf\xe9" });
like(PVE::Vzvault::Frame::encode({ n => $clean->{notes} }), qr/\xa5caf\xc3\xa9\z/,
    'a latin1 text goes out as UTF-8');
for my $case ([1, "\xc3"], [0, "\xc2"], ['', "\xc2"], [undef, "\xc2"]) {
    my ($value, $byte) = $case->@*;
    my $call = { storage => $STORAGE, volume => $VOLUME, protected => $value };
    my $wire = PVE::Vzvault::Schema::params('storage.setProtected', $call)->{protected};
    like(PVE::Vzvault::Frame::encode({ p => $wire }), qr/\xa1p\Q$byte\E\z/,
        'a boolean goes out as one: ' . ($value // 'undef'));
}

params_refused('storage.list', { storage => { $STORAGE->%*, path => $_->[0] } },
    'path is not an absolute path', "refuses the path of $_->[1]")
    for ['mnt', 'no slash'], ['/mnt/../etc', 'one that climbs'], ['/mnt/.', 'a dot'],
    ['', 'nothing'], ["/mnt\n", 'a newline'], ['/mnt;rm', 'a semicolon'], ['/mnt/a b', 'a space'];
params_refused('storage.list', { storage => { $STORAGE->%*, id => '-x' } },
    'not a storage id', 'refuses a storage id that is none');
params_refused('storage.list', { storage => $STORAGE, vmid => $_ },
    'vmid is (?:not an integer|out of range)', "refuses the vmid '$_'")
    for '99', '1000000000', '1.5', 'x', '1e99', 'inf', 'nan', '0x64', [];
params_refused('storage.free', { storage => $STORAGE, volume => 'backup/x.vma.zst' },
    'not the name of a vzvault backup', 'refuses a volume that is not ours');
params_refused('storage.list', { storage => { $STORAGE->%*, vmMechanism => 'directory' } },
    'is not nbd or file-handle', 'refuses a mechanism that is none');
params_refused('backup.queryIncremental', { backupId => 'b', qemuPid => $_, disks => {} },
    'qemuPid is (?:not an integer|out of range)', "refuses the pid '$_'")
    for 0, -1, 'x';
params_refused('backup.queryIncremental', { backupId => 'b', disks => {} },
    "has no 'qemuPid'", 'wants a pid to be left out in so many words');
my %DISK = (device => 'drive-scsi0', sizeBytes => 1, bitmapMode => 'reuse', dirtyBytes => 1,
    nbdPath => undef, bitmapName => undef);
my %VM = (
    backupId => 'b',
    configBase64 => '',
    firewallBase64 => undef,
    bandwidthLimitBytesPerSecond => 0,
);
is_deeply(PVE::Vzvault::Schema::params('backup.vm', { %VM, disks => [{%DISK}] }),
    { %VM, disks => [{%DISK}] }, 'takes a disk without socket and bitmap name');
params_refused('backup.vm', { %VM, disks => [{ %DISK, $_->@* }] }, $_->[0], "refuses @$_")
    for [dirtyBytes => 'many'], [dirtyBytes => -1], [nbdPath => 'run/nbd'], [bitmapMode => 'use'];
params_refused('backup.vm', { %VM, disks => [({%DISK}) x 65] },
    'has too many entries', 'refuses more disks than descriptors may come');
params_refused('storage.free', { storage => $STORAGE },
    "has no 'volume'", 'refuses a missing field');

# what the daemon answers
my $result = PVE::Vzvault::Schema::result(
    'storage.list',
    {
        backups => [{ $ENTRY->%*, notes => taint($ENTRY->{notes}), newer => 'unknown field' }],
        more => Data::MessagePack::false(),
        elsewhere => taint('x'),
    },
);
is_deeply(
    $result,
    { backups => [{ $ENTRY->%*, protected => 1 }], more => 0 },
    'takes a listing, drops fields it does not know',
);
is_deeply([tainted_parts($result)], [], 'and untaints it');

my $float = { totalBytes => 2**53 - 1, availableBytes => 1e15, usedBytes => 0.0 };
is_deeply(
    PVE::Vzvault::Schema::result('storage.status', $float),
    { totalBytes => 9007199254740991, availableBytes => 1000000000000000, usedBytes => 0 },
    'takes integers that JavaScript sent as doubles',
);

sub listing { return { backups => [{ $ENTRY->%*, @_ }], more => Data::MessagePack::false() } }
result_refused('storage.list', listing($_->@*), $_->[0], "refuses a listing with a bad $_->[0]")
    for [volume => 'backup/../x'], [guestType => 'openvz'], [vmid => 7], [sizeBytes => -1],
    [sizeBytes => 2**53], [sizeBytes => 1.5], [notes => "a\0b"], [notes => undef],
    [protected => 1], [verifyState => 'fine'];
result_refused('storage.list', { backups => {}, more => 0 },
    'is not a list', 'refuses another shape');
result_refused('storage.list', { backups => [($ENTRY) x 10_001], more => 0 },
    'too many entries', 'refuses a listing longer than the protocol allows');
result_refused('restore.openDisk', { path => $_ }, 'absolute path', "refuses the path '$_'")
    for 'nbd://x', '/run/../etc/shadow', '/run/x; reboot', "/run/x\n", '|/bin/sh';
result_refused('restore.begin', { restoreId => 'r', archives => [], disks => { 'drive-$x' => { sizeBytes => 1 } } },
    'device name', 'refuses a device that is no device name');
result_refused('job.begin', { jobId => '../x' }, 'not an id', 'refuses an id that is none');

# what the daemon asks
my $regions = 'backup.nextDirtyRegions';
is_deeply(
    PVE::Vzvault::Schema::client_params($regions, { device => taint('drive-scsi0'), more => 1 }),
    { device => 'drive-scsi0' },
    'takes a request of the daemon',
);
my $asked = PVE::Vzvault::Schema::client_params($regions, { device => taint('drive-scsi0') });
is_deeply([tainted_parts($asked)], [], 'and untaints it');
refused('E_ARGUMENT_INVALID', 'not a device name', 'client_params', $regions, { device => $_ },
    "refuses the device '$_'")
    for '../x', "drive-x\n", '';
my $batch = { regions => [['0', taint('5')]], done => 1 };
like(PVE::Vzvault::Frame::encode(PVE::Vzvault::Schema::client_result($regions, $batch)),
    qr/done\xc3\xa7regions\x91\x92\x00\x05\z/, 'sends numbers and booleans as what they are');
refused('E_SOURCE_BITMAP', 'regions', 'client_result', $regions, { regions => $_, done => 1 },
    'refuses to send regions that are none')
    for undef, {}, [1], [[1]], [[1, 0]], [[-1, 1]], [[1, 2, 3]], [([1, 1]) x 4097];

# how long PVE waits
my $seconds = sub { return $PVE::Vzvault::Schema::METHOD{ $_[0] }->{seconds} };
cmp_ok($seconds->($_), '<=', 2, "$_, which pvestatd calls in line, takes 2 s at most")
    for qw(daemon.ping storage.activate storage.status storage.list);
cmp_ok($seconds->($_), '<', 60, "$_ ends before the alarm of PVE's cluster lock")
    for qw(storage.create storage.free);
is($seconds->('backup.keepLog'), 60, 'keeping a log does not hold up the next guest for long');
is($seconds->('backup.vm'), undef, 'a backup takes as long as it takes');

# storage.cfg
my %MOUNTPOINT = (yes => 'yes', 1 => 'yes', On => 'yes', no => '', 0 => '', '/mnt' => '/mnt');
for my $value (sort keys %MOUNTPOINT) {
    my $scfg = { path => '/mnt/vault', is_mountpoint => $value };
    my $storage = PVE::Vzvault::Section::storage('vault', $scfg);
    is($storage->{isMountpoint}, $MOUNTPOINT{$value}, "reads is_mountpoint $value");
}
my %SIZE = ('256K' => 262144, '512K' => 524288, '1M' => 1048576, '4M' => 4194304);
for my $size (sort keys %SIZE) {
    my $scfg = { path => '/mnt/vault', 'vzvault-chunk-size' => $size };
    is(PVE::Vzvault::Section::storage('vault', $scfg)->{chunkSizeBytes}, $SIZE{$size},
        "reads vzvault-chunk-size $size");
}
ok(!exists(PVE::Vzvault::Section::storage('vault', { path => '/mnt' })->{chunkSizeBytes}),
    'leaves out a chunk size that is not set');
for my $mechanism (qw(nbd file-handle)) {
    my $scfg = { path => '/mnt/vault', 'vzvault-vm-mechanism' => $mechanism };
    is(PVE::Vzvault::Section::storage('vault', $scfg)->{vmMechanism}, $mechanism,
        "reads vzvault-vm-mechanism $mechanism");
}
ok(!exists(PVE::Vzvault::Section::storage('vault', { path => '/mnt' })->{vmMechanism}),
    'leaves out a mechanism that is not set');
is(PVE::Vzvault::Section::storage('vault', { path => '/mnt', 'vzvault-instance' => 'a' x 32 })
        ->{instance}, 'a' x 32, 'reads vzvault-instance');

done_testing();
