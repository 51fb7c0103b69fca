package PVE::BackupProvider::Plugin::Vzvault;

# PVE's backup provider interface (PVE::BackupProvider::Plugin::Base), one call of vzvaultd a
# method.
#
# The object lives as long as one vzdump job or one restore and holds only ids that the daemon gave
# out: of the job, of the backup of each guest, of each restore. PVE creates many objects
# and may use none, calls cleanups twice, and calls them after what they clean up never began. So
# cleanups take an id that is not there for done, and do not die of a daemon that fails them: what
# was committed stays so, and the daemon ends by itself what belongs to a process that is gone.

use strict;
use warnings;

use MIME::Base64 qw(decode_base64 encode_base64);

use PVE::Vzvault::Archive;
use PVE::Vzvault::Client;
use PVE::Vzvault::Error qw(code_of is_interruption raise);
use PVE::Vzvault::Incremental;
use PVE::Vzvault::Schema;
use PVE::Vzvault::TaskLog;
use PVE::Vzvault::Volname;

use base qw(PVE::BackupProvider::Plugin::Base);

sub new {
    my ($class, $storage_plugin, $scfg, $storeid, $log_function) = @_;

    return bless {
        scfg => $scfg,
        storeid => $storeid,
        log => $log_function,
        backups => {}, # vmid => { id, added, volume of a container }
        unlogged => {}, # vmid => id of the last backup, until its log came
        connections => {}, # vmid => one that is open, of a container that is about to be backed up
        restores => {}, # volname => id
    }, $class;
}

sub provider_name {
    return 'vzvault';
}

# --- the job ---

sub job_init {
    my ($self, $start_time) = @_;

    my $job = $self->_call('job.begin', $self->_storage(), startTimeSeconds => $start_time);
    $self->{job} = $job->{jobId};

    return;
}

sub job_cleanup {
    my ($self) = @_;

    my $id = delete $self->{job} // return;
    $self->_clean_up('job.end', jobId => $id);

    return;
}

# --- the backup of one guest ---

sub backup_init {
    my ($self, $vmid, $vmtype, $start_time) = @_;

    delete $self->{unlogged}->{$vmid};
    my $backup = $self->_call(
        'backup.begin',
        jobId => $self->{job},
        guestType => $vmtype,
        vmid => $vmid,
        startTimeSeconds => $start_time,
    );
    $self->{backups}->{$vmid} = {
        id => $backup->{backupId},
        added => 0,
        ($vmtype eq 'lxc' ? (volume => $backup->{volume}) : ()),
    };
    $self->{unlogged}->{$vmid} = $backup->{backupId};

    # vzdump puts 'STORE:backup/' before it
    return { 'archive-name' => PVE::Vzvault::Volname::parse($backup->{volume})->{name} };
}

sub backup_get_mechanism {
    my ($self, $vmid, $vmtype) = @_;

    return $self->_call('backup.mechanism', $self->_backup($vmid))->{mechanism};
}

sub backup_vm_query_incremental {
    my ($self, $vmid, $volumes) = @_;

    my $disks = { map { $_ => { sizeBytes => $volumes->{$_}->{size} } } keys $volumes->%* };
    my $answer = $self->_call(
        'backup.queryIncremental',
        $self->_backup($vmid),
        qemuPid => scalar(PVE::Vzvault::Incremental::qemu_pid($vmid)),
        disks => $disks,
    );

    return $answer->{modes};
}

# When this returns, the snapshot is committed: QEMU clears its bitmaps right after.
sub backup_vm {
    my ($self, $vmid, $guest_config, $volumes, $info) = @_;

    my @devices = sort keys $volumes->%*;
    my %params = (
        $self->_backup($vmid),
        configBase64 => _to_base64($guest_config),
        firewallBase64 => _to_base64($info->{'firewall-config'}),
        bandwidthLimitBytesPerSecond => $info->{'bandwidth-limit'} || 0,
        disks => PVE::Vzvault::Incremental::disks($vmid, $volumes, $self->{log}),
    );
    my %opts = (log => $self->{log});
    # With the mechanism file-handle, the daemon asks us for the dirty regions.
    if (my @handles = grep { $_ } map { $volumes->{$_}->{'file-handle'} } @devices) {
        raise('E_ARGUMENT_INVALID', "not every disk of $vmid came with a file handle")
            if @handles != @devices;
        my $regions = PVE::Vzvault::Incremental::region_handler($volumes);
        %opts = (%opts, fds => \@handles, handlers => { 'backup.nextDirtyRegions' => $regions });
    }
    my $stored = PVE::Vzvault::Client::call('backup.vm', \%params, %opts);
    $self->{backups}->{$vmid}->{added} = $stored->{addedBytes};

    return;
}

# Still as root, on the host: the socket cannot be opened from inside the container's namespaces.
sub backup_container_prepare {
    my ($self, $vmid, $info) = @_;

    $self->{connections}->{$vmid} = PVE::Vzvault::Client::open_connection();

    return;
}

# As the container's root, in a child of PVE's; for a privileged container here and now. What is
# changed in $self may be lost, so all that is kept is with the daemon. When this returns, the
# snapshot is committed.
sub backup_container {
    my ($self, $vmid, $guest_config, $exclude_patterns, $info) = @_;

    my $connection = delete $self->{connections}->{$vmid}
        // raise('E_ARGUMENT_INVALID', "the backup of the container $vmid was not prepared");
    my $sources = $info->{sources};
    $self->{log}->('warn', "tar does not match exclusion with a trailing slash '$_'")
        for PVE::Vzvault::Archive::ignored_patterns($sources, $exclude_patterns);
    my @command =
        PVE::Vzvault::Archive::command($info->{directory}, $sources, $exclude_patterns);

    local $SIG{CHLD} = 'DEFAULT'; # how tar ended must be known
    my $tar = PVE::Vzvault::Archive->start(@command);
    my $end = sub {
        my ($exit_code, $signal) = $tar->wait_for_end();
        return { exitCode => $exit_code, signal => $signal };
    };
    PVE::Vzvault::Client::call(
        'backup.container',
        {
            $self->_backup($vmid),
            configBase64 => _to_base64($guest_config),
            firewallBase64 => _to_base64($info->{'firewall-config'}),
            bandwidthLimitBytesPerSecond => $info->{'bandwidth-limit'} || 0,
        },
        log => $self->{log},
        fds => [$tar->pipes()],
        handlers => { 'backup.archiveEnd' => $end },
        connection => $connection,
    );

    return;
}

# Can come with $success = 0 after a commit, and even after a call with $success = 1. Dies only
# where PVE takes a container for backed up that is not.
sub backup_cleanup {
    my ($self, $vmid, $vmtype, $success, $info) = @_;

    delete $self->{connections}->{$vmid};
    my $backup = delete $self->{backups}->{$vmid} // { added => 0 };
    if (defined(my $id = $backup->{id})) {
        my $error = $info->{error};
        $error = substr($error, 0, PVE::Vzvault::Schema::MAX_ERROR_CHARS) if defined($error);
        my $ended =
            $self->_clean_up('backup.end', backupId => $id, success => $success, error => $error);
        # Of a container only the daemon knows, and PVE takes a child of its own that was killed for
        # one that succeeded (pve-common Tools.pm, run_fork).
        $backup->{added} ||= $ended->{addedBytes} if $ended;
        if ($success && !$backup->{added} && defined($backup->{volume})) {
            my @volume = (volume => $backup->{volume});
            $backup->{added} =
                $self->_call('storage.info', $self->_storage(), @volume)->{addedBytes};
        }
    }

    return { stats => { 'archive-size' => $backup->{added} } };
}

# Comes after backup_cleanup. A die here would end the whole job, which no log is worth; only one
# that means to do that, a signal's, gets through.
sub backup_handle_log_file {
    my ($self, $vmid, $filename) = @_;

    my $id = delete $self->{unlogged}->{ $vmid // '' } // return;
    my $kept = eval {
        my $log = PVE::Vzvault::TaskLog::content($filename, PVE::Vzvault::Schema::MAX_LOG_BYTES);
        $self->_call('backup.keepLog', backupId => $id, logBase64 => encode_base64($log, ''));
    };
    return if $kept;

    my $error = $@;
    die $error if is_interruption($error);
    my $why = PVE::Vzvault::Error::line($error) =~ s/ +\z//r;
    eval { $self->{log}->('warn', "cannot keep the task log of $vmid: $why") }
        if !_is_daemon_gone($error);

    return;
}

# --- restore ---

sub restore_get_mechanism {
    my ($self, $volname) = @_;

    return ('qemu-img', 'qemu') if _parse($volname)->{type} eq 'qemu';

    my $directory = ($self->{scfg}->{'vzvault-ct-restore'} // 'tar') eq 'directory';
    return ($directory ? 'directory' : 'tar', 'lxc');
}

sub archive_get_guest_config {
    my ($self, $volname) = @_;

    return $self->_read_config($volname, 'guest.conf');
}

sub archive_get_firewall_config {
    my ($self, $volname) = @_;

    return $self->_read_config($volname, 'firewall.conf');
}

sub restore_vm_init {
    my ($self, $volname) = @_;

    my $disks = $self->_begin_restore($volname)->{disks};

    return { map { $_ => { size => $disks->{$_}->{sizeBytes} } } keys $disks->%* };
}

sub restore_vm_volume_init {
    my ($self, $volname, $device_name, $info) = @_;

    my @disk = (restoreId => $self->{restores}->{$volname}, device => $device_name);
    return { 'qemu-img-path' => $self->_call('restore.openDisk', @disk)->{path} };
}

sub restore_vm_volume_cleanup {
    my ($self, $volname, $device_name, $info) = @_;

    my $id = $self->{restores}->{$volname} // return;
    $self->_clean_up('restore.closeDisk', restoreId => $id, device => $device_name);

    return;
}

sub restore_vm_cleanup {
    my ($self, $volname) = @_;

    return $self->_end_restore($volname);
}

# For containers PVE has the storage id behind the name. Where this dies, no cleanup follows.
sub restore_container_init {
    my ($self, $volname) = @_;

    my ($mechanism) = $self->restore_get_mechanism($volname);
    my @restore = (restoreId => $self->_begin_restore($volname)->{restoreId});
    my $path = eval {
        $self->_call('restore.openArchive', @restore, mechanism => $mechanism)->{path};
    };
    if (!defined($path)) {
        my $error = $@;
        $self->_end_restore($volname) if !is_interruption($error);
        die $error;
    }

    return $mechanism eq 'tar' ? { 'tar-path' => $path } : { 'archive-directory' => $path };
}

sub restore_container_cleanup {
    my ($self, $volname) = @_;

    return $self->_end_restore($volname);
}

# --- helpers ---

sub _call {
    my ($self, $method, %params) = @_;

    return PVE::Vzvault::Client::call($method, \%params, log => $self->{log});
}

sub _begin_restore {
    my ($self, $volname) = @_;

    my $restore = $self->_call('restore.begin', $self->_storage(), volume => $volname);
    $self->{restores}->{$volname} = $restore->{restoreId};

    return $restore;
}

sub _end_restore {
    my ($self, $volname) = @_;

    my $id = delete $self->{restores}->{$volname} // return;
    $self->_clean_up('restore.end', restoreId => $id);

    return;
}

# Answers the result, undef where there is none. A daemon that is gone has nothing to clean up, and
# what failed by that has said so.
sub _clean_up {
    my ($self, $method, %params) = @_;

    my $result = eval { $self->_call($method, %params) };
    return $result if $result;
    my $error = $@;
    code_of($error) // die $error;
    $self->{log}->('warn', $error =~ s/\n//r) if !_is_daemon_gone($error);

    return;
}

sub _is_daemon_gone {
    my ($error) = @_;

    my $code = code_of($error) // '';
    return $code eq 'E_DAEMON_UNREACHABLE' || $code eq 'E_CONNECTION_LOST';
}

sub _storage {
    my ($self) = @_;

    return (storage => PVE::Vzvault::Schema::storage($self->{storeid}, $self->{scfg}));
}

sub _backup {
    my ($self, $vmid) = @_;

    return (backupId => $self->{backups}->{$vmid}->{id});
}

sub _parse {
    my ($volname) = @_;

    return PVE::Vzvault::Volname::parse($volname)
        // die "'$volname' is not the name of a vzvault backup\n";
}

# The bytes of a file of the backup as they were given to backup_vm, undef where it has none.
sub _read_config {
    my ($self, $volname, $name) = @_;

    my @file = (volume => _parse($volname)->{volume}, name => $name);
    my $content = $self->_call('storage.readConfig', $self->_storage(), @file)->{contentBase64};

    return defined($content) ? decode_base64($content) : undef;
}

# PVE hands over bytes; should they ever be characters, they are stored as UTF-8. undef stays undef.
sub _to_base64 {
    my ($bytes) = @_;

    return undef if !defined($bytes); ## no critic (ProhibitExplicitReturnUndef): nil, not ()
    utf8::encode($bytes) if !utf8::downgrade($bytes, 1);
    return encode_base64($bytes, '');
}

1;
