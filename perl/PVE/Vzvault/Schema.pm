package PVE::Vzvault::Schema;

# What docs/protocol.md says, as Perl can check it: for every method, in both directions, the shape
# of its parameters and of its result, and how long an answer may take. PVE::Vzvault::Type says what
# a checked value is. Pure.

use strict;
use warnings;

use PVE::Vzvault::Type qw(
    MAX_INTEGER bool_from_wire bool_to_wire integer list_of map_of nullable pattern record tuple
    unfit
);
use PVE::Vzvault::Volname;

use constant {
    MAX_LISTED => 10_000, # entries in one answer of storage.list
    MAX_ARCHIVES => 16, # a container has one
    MAX_DISKS => 64, # PVE's buses together have 59 slots
    MAX_DIRTY_REGIONS => 4096, # in one answer of backup.nextDirtyRegions
    MAX_LOG_BYTES => 4 * 1024 * 1024, # of a task log, before base64; longer ones are cut
    MAX_ERROR_CHARS => 64 * 1024, # of the text that ends a backup; longer ones are cut
    MAX_TEXT_CHARS => 12 * 1024 * 1024, # docs/protocol.md, length of one string
};

my $bytes = integer(0, MAX_INTEGER);
my $seconds = integer(0, MAX_INTEGER);
my $pid = integer(1, MAX_INTEGER);
my $vmid = integer(100, 999_999_999);
my $guest_type = pattern('a guest type', qr/qemu|lxc/);
my $id = pattern('an id', qr/[A-Za-z0-9][A-Za-z0-9._-]{0,127}/);
my $store_id = pattern('a storage id', qr/[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]/);
my $device = pattern('a device name', qr/drive-[A-Za-z0-9-]{1,64}/);
my $component = qr/(?!\.\.?(?:\/|\z))[A-Za-z0-9@+=:,._-]+/;
my $mechanism = pattern('nbd or file-handle', qr/nbd|file-handle/);
my $restore_mechanism = pattern('tar or directory', qr/tar|directory/);
my $absolute = qr/(?:\/+$component)+\/*/; # PVE's own paths have double slashes
my $path = pattern('an absolute path', $absolute);
my $text = pattern('a text', qr/[^\0]*/, MAX_TEXT_CHARS);
my $base64 = pattern('base64', qr/[A-Za-z0-9+\/]*={0,2}/);

my $volume = sub {
    my ($value, $where) = @_;
    my $parsed = PVE::Vzvault::Volname::parse($value)
        // unfit("$where is not the name of a vzvault backup");
    utf8::upgrade($parsed->{volume});
    return $parsed->{volume};
};

my $storage = record(
    id => $store_id,
    path => $path,
    isMountpoint => pattern('yes, no or an absolute path', qr/|yes|$absolute/),
    'chunkSizeBytes?' => $bytes,
    'encryptionKey?' => pattern('the fingerprint of a key', qr/[0-9a-f]{32}/),
    'instance?' => pattern('an instance', qr/[0-9a-f]{32}/),
    'vmMechanism?' => $mechanism,
);
my $entry = record(
    volume => $volume,
    guestType => $guest_type,
    vmid => $vmid,
    timeSeconds => $seconds,
    sizeBytes => $bytes,
    addedBytes => $bytes,
    notes => $text,
    protected => \&bool_from_wire,
    verifyState => pattern('a verify state', qr/none|ok|damaged|unknown/),
);
my $sized_disks = map_of($device, record(sizeBytes => $bytes), MAX_DISKS);
my $stored = record(addedBytes => $bytes, readBytes => $bytes, sizeBytes => $bytes);
my @guest_backup = (
    backupId => $id,
    configBase64 => $base64,
    firewallBase64 => nullable($base64),
    bandwidthLimitBytesPerSecond => $bytes,
);
my $archive = record(name => $id, sizeBytes => $bytes);
my $nothing = record();

# --- methods ---

# `seconds` bounds the whole call as the caller sees it, connecting included; undef is no bound. Two
# for what pvestatd calls in line, 50 for what runs under a cluster lock with an alarm of 60, and
# more than the daemon itself gives a mount to come up for a restore.
our %METHOD = (
    'storage.create' => {
        seconds => 50,
        params => record(storage => $storage),
        result => record(created => \&bool_from_wire, repositoryId => $id),
    },
    'storage.unlock' => {
        seconds => 2,
        params => record(storage => $storage),
        result => record(repositoryId => $id),
    },
    'storage.activate' => {
        seconds => 2,
        params => record(storage => $storage),
        result => record(repositoryId => $id),
    },
    'storage.status' => {
        seconds => 2,
        params => record(storage => $storage),
        result => record(totalBytes => $bytes, availableBytes => $bytes, usedBytes => $bytes),
    },
    'storage.list' => {
        seconds => 2,
        params => record(storage => $storage, 'vmid?' => $vmid, 'after?' => $volume),
        result => record(backups => list_of($entry, MAX_LISTED), more => \&bool_from_wire),
    },
    'storage.info' => {
        seconds => 2,
        params => record(storage => $storage, volume => $volume),
        result => $entry,
    },
    'storage.setNotes' => {
        seconds => 2,
        params => record(storage => $storage, volume => $volume, notes => $text),
        result => $nothing,
    },
    'storage.setProtected' => {
        seconds => 2,
        params => record(storage => $storage, volume => $volume, protected => \&bool_to_wire),
        result => $nothing,
    },
    'storage.free' => {
        seconds => 50,
        params => record(storage => $storage, volume => $volume),
        result => $nothing,
    },
    'storage.readConfig' => {
        seconds => 2,
        params => record(
            storage => $storage,
            volume => $volume,
            name => pattern('a file of a backup', qr/(?:guest|firewall)\.conf/),
        ),
        result => record(contentBase64 => nullable($base64)),
    },
    'job.begin' => {
        seconds => 60,
        params => record(storage => $storage, startTimeSeconds => $seconds),
        result => record(jobId => $id),
    },
    'job.end' => { seconds => 60, params => record(jobId => $id), result => $nothing },
    'backup.begin' => {
        seconds => 60,
        params => record(
            jobId => $id,
            guestType => $guest_type,
            vmid => $vmid,
            startTimeSeconds => $seconds,
        ),
        result => record(backupId => $id, volume => $volume),
    },
    'backup.mechanism' => {
        seconds => 60,
        params => record(backupId => $id),
        result => record(
            mechanism => pattern('a mechanism', qr/nbd|file-handle|directory/),
        ),
    },
    'backup.queryIncremental' => {
        seconds => 60,
        params => record(backupId => $id, qemuPid => nullable($pid), disks => $sized_disks),
        result => record(modes => map_of($device, pattern('a mode', qr/new|use/), MAX_DISKS)),
    },
    'backup.vm' => {
        seconds => undef,
        params => record(
            @guest_backup,
            disks => list_of(
                record(
                    device => $device,
                    sizeBytes => $bytes,
                    bitmapMode => pattern('a bitmap mode', qr/none|new|reuse/),
                    dirtyBytes => nullable($bytes),
                    nbdPath => nullable($path),
                    bitmapName => nullable(pattern('a bitmap name', qr/[A-Za-z0-9:._-]{1,255}/)),
                ),
                MAX_DISKS,
            ),
        ),
        result => $stored,
    },
    'backup.container' => {
        seconds => undef,
        params => record(@guest_backup),
        result => $stored,
    },
    'backup.end' => {
        seconds => 60,
        params => record(backupId => $id, success => \&bool_to_wire, error => nullable($text)),
        result => record(addedBytes => $bytes),
    },
    'backup.keepLog' => {
        seconds => 60,
        params => record(backupId => $id, logBase64 => $base64),
        result => record(kept => \&bool_from_wire),
    },
    'restore.begin' => {
        seconds => 150,
        params => record(storage => $storage, volume => $volume),
        result => record(
            restoreId => $id,
            disks => $sized_disks,
            archives => list_of($archive, MAX_ARCHIVES),
        ),
    },
    'restore.openDisk' => {
        seconds => 150,
        params => record(restoreId => $id, device => $device),
        result => record(path => $path),
    },
    'restore.closeDisk' => {
        seconds => 60,
        params => record(restoreId => $id, device => $device),
        result => $nothing,
    },
    'restore.openArchive' => {
        seconds => 150,
        params => record(restoreId => $id, mechanism => $restore_mechanism),
        result => record(path => $path),
    },
    'restore.end' => { seconds => 60, params => record(restoreId => $id), result => $nothing },
    'daemon.ping' => {
        seconds => 2,
        params => record(),
        result => record(version => $id, pid => $pid),
    },
);

# Methods of ours that the daemon may call while it answers us. `blame` is the code of a result that
# is not what it should be.
our %CLIENT_METHOD = (
    'backup.nextDirtyRegions' => {
        blame => 'E_SOURCE_BITMAP',
        params => record(device => $device),
        result => record(
            regions => list_of(tuple($bytes, integer(1, MAX_INTEGER)), MAX_DIRTY_REGIONS),
            done => \&bool_to_wire,
        ),
    },
    'backup.archiveEnd' => {
        blame => 'E_ARCHIVE_SOURCE',
        params => record(),
        result => record(
            exitCode => nullable(integer(0, 255)),
            signal => nullable(integer(1, 127)),
        ),
    },
);

# Clean parameters for the wire; dies with E_ARGUMENT_INVALID.
sub params {
    my ($method, $params) = @_;

    local $PVE::Vzvault::Type::BLAME = ['E_ARGUMENT_INVALID', "cannot call $method"];
    return $METHOD{$method}->{params}->($params, 'params');
}

# A clean, untainted result; dies with E_FRAME_INVALID.
sub result {
    my ($method, $result) = @_;

    my $what = "vzvaultd's answer to $method is not usable";
    local $PVE::Vzvault::Type::BLAME = ['E_FRAME_INVALID', $what];
    return $METHOD{$method}->{result}->($result, 'result');
}

# What the daemon asks of us, clean and untainted; dies with E_ARGUMENT_INVALID.
sub client_params {
    my ($method, $params) = @_;

    my $what = "cannot answer vzvaultd's call of $method";
    local $PVE::Vzvault::Type::BLAME = ['E_ARGUMENT_INVALID', $what];
    return $CLIENT_METHOD{$method}->{params}->($params, 'params');
}

# Our clean answer for the wire; dies with the code that the method has for it.
sub client_result {
    my ($method, $result) = @_;

    my $what = "cannot answer vzvaultd's call of $method";
    local $PVE::Vzvault::Type::BLAME = [$CLIENT_METHOD{$method}->{blame}, $what];
    return $CLIENT_METHOD{$method}->{result}->($result, 'result');
}

1;
