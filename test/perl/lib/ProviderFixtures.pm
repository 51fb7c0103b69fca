package ProviderFixtures;

# What the tests of the backup provider share: answers of a daemon, providers in the middle of a
# job, and what they said to the task log.

use strict;
use warnings;

use Exporter qw(import);

use FakeDaemon;
use Fixtures qw($VOLUME $SCFG $true);
use PVE::Storage;
use PVE::Storage::Custom::VzvaultPlugin;

our @EXPORT = qw(@LOG provider working_provider answered);

our @LOG; # [level, line] of the last provider

my %ANSWER = (
    'job.begin' => { jobId => 'job-1' },
    'job.end' => {},
    'backup.begin' => { backupId => 'backup-1', volume => $VOLUME },
    'backup.mechanism' => { mechanism => 'nbd' },
    'backup.queryIncremental' => { modes => { 'drive-scsi0' => 'use', 'drive-efidisk0' => 'new' } },
    'backup.vm' => sub {
        my ($params, $conn) = @_;
        $conn->send({ method => 'log', params => { level => 'info', message => '50 %' } });
        return { addedBytes => 4096, readBytes => 8192, sizeBytes => 16384 };
    },
    'backup.end' => { addedBytes => 4096 },
    'backup.keepLog' => { kept => $true },
    'restore.begin' => {
        restoreId => 'restore-1',
        disks => {
            'drive-scsi0' => { sizeBytes => 1024 },
            'drive-efidisk0' => { sizeBytes => 540672 },
        },
        archives => [],
    },
    'restore.openDisk' => { path => '/run/vzvault/mounts/restore-1/drive-scsi0.raw' },
    'restore.closeDisk' => {},
    'restore.end' => {},
);

sub provider {
    @LOG = ();
    my $log = sub { push @LOG, [@_] };
    return PVE::Storage::Custom::VzvaultPlugin->new_backup_provider($SCFG, 'vault', $log);
}

# One in the middle of a job, with a backup of each of these guests begun.
sub working_provider {
    my (@vmids) = @_;

    my $provider = provider();
    $provider->job_init(1);
    $provider->backup_init($_, 'qemu', 1) for @vmids;
    return $provider;
}

# Runs $code with a daemon that answers as any would, but for %answer; returns its requests as
# [method, params].
sub answered {
    my ($code, %answer) = @_;

    return Fixtures::with_daemon({ %ANSWER, %answer }, $code);
}

1;
