#!/usr/bin/perl -T

use strict;
use warnings;

use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;

use Fixtures qw($VOLUME $STORAGE);
use ProviderFixtures;
use Taint qw(taint tainted_parts);

alarm(120); # a test that hangs shall fail

my $LXC = 'backup/vzdump-lxc-101-2026_11_22-04_17_14.vzv';

# what PVE asks of an archive name (pve-manager VZDump.pm)
my $ARCHIVE_NAME_RE = qr!\A([a-zA-Z0-9\-\.\+\=\_]|/|:)+\z!;

# with the double slash that PVE makes
my $NBD = '/run/qemu-server/100.backup-access.4242//100-nbd.backup-access';
my $VOLUMES = {
    'drive-scsi0' => {
        size => taint('16384'),
        'bitmap-mode' => 'new',
        'nbd-path' => taint($NBD),
        'bitmap-name' => taint('snapshot-access:vault'),
    },
    'drive-efidisk0' => {
        size => 540672,
        'bitmap-mode' => 'none',
        'nbd-path' => $NBD,
    },
};

subtest 'a backup in the order of PVE' => sub {
    my $this_file = do { open(my $fh, '<', $0) or die "$0: $!\n"; local $/; <$fh> };
    my $config = taint("name: caf\xc3\xa9\n#\xff\0binary\n");
    my ($init, $mechanism, $modes, $cleanup);
    my $calls = answered(sub {
        my $provider = provider();
        is($provider->provider_name(), 'vzvault', 'has a name for log lines');
        $provider->job_init(1_700_000_000);
        $init = $provider->backup_init(taint('100'), 'qemu', taint('1700000001'));
        $mechanism = $provider->backup_get_mechanism('100', 'qemu');
        $modes = $provider->backup_vm_query_incremental('100',
            { map { $_ => { size => $VOLUMES->{$_}->{size} } } keys $VOLUMES->%* });
        $provider->backup_vm('100', $config, $VOLUMES,
            { 'bandwidth-limit' => taint('10240'), 'firewall-config' => '' });
        $cleanup = $provider->backup_cleanup('100', 'qemu', 1, {});
        $provider->backup_handle_log_file('100', $0);
        $provider->job_cleanup();
    });
    is_deeply($init, { 'archive-name' => $VOLUME =~ s!backup/!!r }, 'names its archive');
    like($init->{'archive-name'}, $ARCHIVE_NAME_RE, 'as PVE accepts it');
    cmp_ok(length("vault:backup/$init->{'archive-name'}"), '<=', 255, 'and short enough');
    is($mechanism, 'nbd', 'wants NBD');
    is_deeply($modes, { 'drive-scsi0' => 'use', 'drive-efidisk0' => 'new' }, 'passes on the modes');
    is_deeply([tainted_parts([$init, $mechanism, $modes])], [], 'nothing of it is tainted');
    is_deeply($cleanup, { stats => { 'archive-size' => 4096 } }, 'tells what the backup added');
    is_deeply(\@LOG, [['info', '50 %']], 'and what the daemon had to say');

    my @id = (backupId => 'backup-1');
    my $sizes = {
        'drive-scsi0' => { sizeBytes => 16384 },
        'drive-efidisk0' => { sizeBytes => 540672 },
    };
    is_deeply(
        $calls,
        [
            ['job.begin', { storage => $STORAGE, startTimeSeconds => 1_700_000_000 }],
            [
                'backup.begin',
                {
                    jobId => 'job-1',
                    guestType => 'qemu',
                    vmid => 100,
                    startTimeSeconds => 1_700_000_001,
                },
            ],
            ['backup.mechanism', {@id}],
            ['backup.queryIncremental', { @id, qemuPid => undef, disks => $sizes }],
            [
                'backup.vm',
                {
                    @id,
                    configBase64 => encode_base64($config, ''),
                    firewallBase64 => '',
                    bandwidthLimitBytesPerSecond => 10240,
                    disks => [
                        {
                            device => 'drive-efidisk0',
                            sizeBytes => 540672,
                            bitmapMode => 'none',
                            dirtyBytes => undef,
                            nbdPath => $NBD,
                            bitmapName => undef,
                        },
                        {
                            device => 'drive-scsi0',
                            sizeBytes => 16384,
                            bitmapMode => 'new',
                            dirtyBytes => undef,
                            nbdPath => $NBD,
                            bitmapName => 'snapshot-access:vault',
                        },
                    ],
                },
            ],
            ['backup.end', { @id, success => JSON::PP::true(), error => undef }],
            ['backup.keepLog', { @id, logBase64 => encode_base64($this_file, '') }],
            ['job.end', { jobId => 'job-1' }],
        ],
        'each method is one call',
    );
};

subtest 'what a guest may lack' => sub {
    my $calls = answered(sub {
        my $provider = working_provider(100);
        $provider->backup_vm(100, "memory: 1\n", {}, {});
        $provider->backup_vm(100, "name: \x{1f642}\n", {}, { 'bandwidth-limit' => undef });
    }, 'backup.vm' => { addedBytes => 0, readBytes => 0, sizeBytes => 0 });
    my $first = $calls->[2]->[1];
    is($first->{firewallBase64}, undef, 'no firewall configuration');
    is($first->{bandwidthLimitBytesPerSecond}, 0, 'no limit');
    is_deeply($first->{disks}, [], 'no disk');
    is(decode_base64($calls->[3]->[1]->{configBase64}), "name: \xf0\x9f\x99\x82\n",
        'a configuration of characters goes out as UTF-8');
};

subtest 'cleanups' => sub {
    my $calls = answered(sub {
        my $provider = provider();
        $provider->job_cleanup();
        is_deeply($provider->backup_cleanup(100, undef, 0, { error => 'x' }),
            { stats => { 'archive-size' => 0 } }, 'of a backup that never began');
        $provider->restore_vm_volume_cleanup($VOLUME, 'drive-scsi0', {});
        $provider->restore_vm_cleanup($VOLUME);
    });
    is_deeply($calls, [], 'of nothing ask nothing');

    $calls = answered(sub {
        my $provider = working_provider(100);
        $provider->backup_vm(100, "memory: 1\n", {}, {});
        $provider->backup_cleanup(100, 'qemu', 1, {});
        $provider->backup_cleanup(100, 'qemu', 0, { error => "hook script failed\n" });
        $provider->job_cleanup() for 1, 2;
    });
    is_deeply([map { $_->[0] } $calls->@*],
        [qw(job.begin backup.begin backup.vm backup.end job.end)], 'come twice, and do once');

    $calls = answered(sub {
        my $provider = working_provider(100);
        $provider->backup_cleanup(100, 'qemu', 0, { error => "zu sp\x{e4}t " . 'x' x 100_000 });
    });
    my $params = $calls->[2]->[1];
    ok(!$params->{success}, 'of a failure say so');
    like($params->{error}, qr/\Azu sp\x{e4}t x+\z/, 'with its text');
    is(length($params->{error}), 65_536, 'up to a length');

    answered(sub {
        my $provider = working_provider(100);
        $provider->backup_vm(100, "memory: 1\n", {}, {});
        $provider->restore_vm_init($VOLUME);
        @LOG = ();
        local $ENV{VZVAULT_SOCKET} = '/tmp/vzvault-test-nowhere/sock';
        my $stats = $provider->backup_cleanup(100, 'qemu', 1, {})->{stats};
        is_deeply($stats, { 'archive-size' => 4096 },
            'of a committed backup succeed without a daemon');
        ok(eval { $provider->restore_vm_volume_cleanup($VOLUME, 'drive-scsi0', {}); 1 },
            'so does closing a disk');
        ok(eval { $provider->restore_vm_cleanup($VOLUME); 1 }, 'and ending a restore');
        ok(eval { $provider->job_cleanup(); 1 }, 'and a job');
    });
    is_deeply(\@LOG, [], 'without a word: what failed by that has said so');

    answered(
        sub {
            my $provider = working_provider(100);
            $provider->backup_cleanup(100, 'qemu', 1, {});
        },
        'backup.end' => ['E_STORAGE_IO', 'disk on fire'],
    );
    is_deeply(\@LOG, [['warn', 'disk on fire (E_STORAGE_IO: the hint of E_STORAGE_IO)']],
        'anything else is a warning');
};

subtest 'two guests at once' => sub {
    my $n = 0;
    my $calls = answered(sub {
        my $provider = working_provider(100, 101);
        $provider->backup_get_mechanism($_, 'qemu') for 101, 100;
    }, 'backup.begin' => sub { return { backupId => 'b-' . ++$n, volume => $VOLUME } });
    is_deeply([map { $_->[1]->{backupId} } $calls->@[3, 4]], ['b-2', 'b-1'], 'are kept apart');
};

subtest 'failures' => sub {
    my %call = (
        'job.begin' => sub { provider()->job_init(1) },
        'backup.begin' => sub { working_provider(100) },
        'backup.mechanism' => sub { working_provider(100)->backup_get_mechanism(100, 'lxc') },
        'backup.queryIncremental' =>
            sub { working_provider(100)->backup_vm_query_incremental(100, {}) },
        'backup.vm' => sub { working_provider(100)->backup_vm(100, 'x', {}, {}) },
        'restore.begin' => sub { provider()->restore_vm_init($VOLUME) },
        'restore.openDisk' => sub {
            my $provider = provider();
            $provider->restore_vm_init($VOLUME);
            $provider->restore_vm_volume_init($VOLUME, 'drive-scsi0', {});
        },
        'storage.readConfig' => sub { provider()->archive_get_guest_config($VOLUME) },
    );
    for my $method (sort keys %call) {
        answered(sub {
            eval { $call{$method}->() };
            is($@, "no (E_UNSUPPORTED: the hint of E_UNSUPPORTED)\n", "of $method are one line");
        }, $method => ['E_UNSUPPORTED', 'no']);
    }
};

subtest 'a restore in the order of PVE' => sub {
    my $config = "memory: 128\n#qmdump#map:scsi0:drive-scsi0:local:raw:\n\xff\0";
    my %files = ('guest.conf' => $config, 'firewall.conf' => undef);
    my ($devices, $disk, @mechanism, @configs);
    my $calls = answered(sub {
        my $provider = provider();
        my $volname = taint($VOLUME);
        @mechanism = $provider->restore_get_mechanism($volname);
        $devices = $provider->restore_vm_init($volname);
        @configs = ($provider->archive_get_guest_config($volname),
            $provider->archive_get_firewall_config($volname));
        $disk = $provider->restore_vm_volume_init($volname, taint('drive-scsi0'), {});
        $provider->restore_vm_volume_cleanup($volname, 'drive-scsi0', {}) for 1, 2;
        $provider->restore_vm_cleanup($volname) for 1, 2;
    }, 'storage.readConfig' => sub {
        my $content = $files{ $_[0]->{name} };
        return { contentBase64 => defined($content) ? encode_base64($content, '') : undef };
    });
    is_deeply(\@mechanism, ['qemu-img', 'qemu'], 'is done by qemu-img');
    is_deeply(
        $devices,
        { 'drive-scsi0' => { size => 1024 }, 'drive-efidisk0' => { size => 540672 } },
        'knows the disks',
    );
    is_deeply($disk, { 'qemu-img-path' => '/run/vzvault/mounts/restore-1/drive-scsi0.raw' },
        'gives a path');
    is_deeply(\@configs, [$config, undef], 'gives back the configuration verbatim');
    is_deeply([tainted_parts([@mechanism, $devices, $disk, @configs])], [], 'nothing is tainted');
    my @file = (storage => $STORAGE, volume => $VOLUME);
    my @scsi = (restoreId => 'restore-1', device => 'drive-scsi0');
    is_deeply(
        $calls,
        [
            ['restore.begin', {@file}],
            ['storage.readConfig', { @file, name => 'guest.conf' }],
            ['storage.readConfig', { @file, name => 'firewall.conf' }],
            ['restore.openDisk', {@scsi}],
            ['restore.closeDisk', {@scsi}],
            ['restore.closeDisk', {@scsi}],
            ['restore.end', { restoreId => 'restore-1' }],
        ],
        'each method is one call',
    );
};

subtest 'archives by themselves' => sub {
    my $calls = answered(sub {
        is(provider()->archive_get_guest_config($LXC, 'vault'), 'arch: amd64',
            'a fresh object reads a configuration, a storage id behind the name or not');
    }, 'storage.readConfig' => { contentBase64 => encode_base64('arch: amd64') =~ s/\n//r });
    is(scalar($calls->@*), 1, 'in one call');
    my @methods = qw(restore_get_mechanism archive_get_guest_config archive_get_firewall_config);
    for my $method (@methods) {
        eval { provider()->$method('backup/vzdump-qemu-100-2026_11_22-04_17_14.vma.zst') };
        like($@, qr/\A'[^\n]+' is not the name of a vzvault backup\n\z/, "$method refuses others");
    }
};

done_testing();
