#!/usr/bin/perl

# Writes the golden frames of the Perl encoder, perl-*.bin, and beside each the message that it
# holds as JSON. Run it after a change of the protocol:  perl -Iperl
# test/contract/frames/make-perl-frames.pl The output is the same at every run.

use strict;
use warnings;
use utf8;

use Data::MessagePack;
use File::Basename qw(dirname);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

use PVE::Vzvault::Error;
use PVE::Vzvault::Frame;
use PVE::Vzvault::Schema;
use PVE::Vzvault::Section;
use PVE::Vzvault::Type;

my $STORAGE = PVE::Vzvault::Section::storage(
    'vault', { path => '/mnt/vault', is_mountpoint => 'yes', 'vzvault-chunk-size' => '1M' });
my $VOLUME = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';

sub request {
    my ($id, $method, $params, %more) = @_;

    $params = PVE::Vzvault::Schema::params($method, $params);
    return { id => $id, method => $method, params => $params, %more };
}

my $disks = [
    map {
        {
            device => $_->[0],
            sizeBytes => $_->[1],
            bitmapMode => $_->[2],
            dirtyBytes => $_->[3],
            nbdPath => '/run/qemu-server/100.backup-access.4242//100-nbd.backup-access',
            bitmapName => $_->[4],
        }
    } ['drive-efidisk0', '540672', 'new', undef, undef],
    ['drive-scsi0', '4398046511104', 'reuse', '16777216', 'snapshot-access:vault'],
    ['drive-tpmstate0-backup', 4_194_304, 'none', undef, undef],
];
# as with the mechanism file-handle
my $handed_over = [map { { $_->%*, nbdPath => undef, bitmapName => undef } } $disks->@*];
my %vm = (
    backupId => 'b-1',
    configBase64 => encode_base64(join('', map { chr } 0 .. 255), ''),
    firewallBase64 => undef,
    bandwidthLimitBytesPerSecond => '0',
);

# An answer to backup.nextDirtyRegions.
sub regions {
    my ($id, $regions, $is_done) = @_;

    my $result = { regions => $regions, done => $is_done };
    my $method = 'backup.nextDirtyRegions';
    return { id => $id, result => PVE::Vzvault::Schema::client_result($method, $result) };
}

# An answer to backup.archiveEnd.
sub archive_end {
    my ($exit_code, $signal) = @_;

    my $result = { exitCode => $exit_code, signal => $signal };
    my $method = 'backup.archiveEnd';
    return { id => 1, result => PVE::Vzvault::Schema::client_result($method, $result) };
}

# Of an error as it is told the daemon.
sub failure {
    my ($id, $code, $message) = @_;

    eval { PVE::Vzvault::Error::raise($code, $message) };
    my $error = PVE::Vzvault::Error::fields($@);
    my $retryable = PVE::Vzvault::Type::bool_to_wire($error->{retryable});
    return { id => $id, error => { $error->%*, retryable => $retryable } };
}

my %message = (
    hello => {
        id => 1,
        method => 'hello',
        params => { protocolMin => 1, protocolMax => 1, client => 'perl/0.1.0' },
    },
    'storage-list' =>
        request(2, 'storage.list', { storage => $STORAGE, vmid => '100' }, deadlineMs => 1900),
    'set-notes' => request(
        2, 'storage.setNotes',
        {
            storage => $STORAGE,
            volume => $VOLUME,
            notes => "Zürich – café\n日本語 🙂\ttab",
        },
    ),
    # one byte a character inside Perl, which must not reach the wire as it stands
    'set-notes-latin1' => request(
        2, 'storage.setNotes', { storage => $STORAGE, volume => $VOLUME, notes => "caf\xe9" }),
    'set-protected' => request(
        2, 'storage.setProtected', { storage => $STORAGE, volume => $VOLUME, protected => '1' }),
    # the fingerprint of a storage's key, never the key
    'storage-unlock' => request(
        2,
        'storage.unlock',
        {
            storage => PVE::Vzvault::Section::storage(
                'vault', { path => '/mnt/vault', 'encryption-key' => '0123456789abcdef' x 2 }),
        },
    ),
    'job-begin' => request(
        2,
        'job.begin',
        {
            storage => PVE::Vzvault::Section::storage(
                'vault', { path => '/mnt/vault', 'vzvault-vm-mechanism' => 'file-handle' }),
            startTimeSeconds => '1795321034',
        },
    ),
    'query-incremental' => request(
        2,
        'backup.queryIncremental',
        {
            backupId => 'b-1',
            qemuPid => '4711',
            disks => { map { $_->{device} => { sizeBytes => $_->{sizeBytes} } } $disks->@* },
        },
    ),
    'query-incremental-no-pid' => request(
        2, 'backup.queryIncremental', { backupId => 'b-1', qemuPid => undef, disks => {} }),
    'backup-vm' => request(2, 'backup.vm', { %vm, disks => $disks }),
    'backup-vm-file-handle' => request(2, 'backup.vm', { %vm, disks => $handed_over }, fds => 3),
    'backup-container' => request(
        2,
        'backup.container',
        { %vm, firewallBase64 => '', bandwidthLimitBytesPerSecond => '10485760' },
        fds => 2,
    ),
    'archive-end' => archive_end('1', undef),
    'archive-end-signal' => archive_end(undef, '9'),
    'open-archive' =>
        request(3, 'restore.openArchive', { restoreId => 'r-1', mechanism => 'directory' }),
    'dirty-regions' =>
        regions(1, [['0', '4194304'], ['8388608', 1], ['4398042316800', '4194304']], 0),
    'dirty-regions-last' => regions(2, [], 1),
    'dirty-regions-failed' => failure(
        3, 'E_SOURCE_BITMAP', 'listing the dirty regions of drive-scsi0: Lesefehler in fünf'),
    'keep-log' => request(
        2,
        'backup.keepLog',
        { backupId => 'b-1', logBase64 => encode_base64("caf\xc3\xa9\n", '') },
    ),
    'backup-end' =>
        request(2, 'backup.end', { backupId => 'b-1', success => 0, error => 'x' x 40_000 }),
    descriptors => request(2, 'daemon.ping', {}, fds => 2),
    cancel => { method => 'cancel', params => { id => 2 } },
    'method-unknown' => {
        id => 7,
        error => {
            code => 'E_METHOD_UNKNOWN',
            message => 'the plugin does not know the call source.nextRegion',
            hint => 'the peer does not know this call; make plugin and daemon the same version',
            retryable => Data::MessagePack::false(),
        },
    },
);

my $json = JSON::PP->new->utf8->canonical->pretty->convert_blessed;
sub Data::MessagePack::Boolean::TO_JSON { return ${ $_[0] } ? JSON::PP::true() : JSON::PP::false() }

sub spew {
    my ($path, $bytes) = @_;

    open(my $fh, '>:raw', $path) or die "$path: $!\n";
    print {$fh} $bytes;
    close($fh) or die "$path: $!\n";
    return;
}

my $dir = dirname(__FILE__);
for my $name (sort keys %message) {
    spew("$dir/perl-$name.bin", PVE::Vzvault::Frame::encode($message{$name}));
    spew("$dir/perl-$name.json", $json->encode($message{$name}));
}
