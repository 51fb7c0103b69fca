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
        backups => {}, # vmid => { id, added }
        unlogged => {}, # vmid => id of the last backup, until its log came
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
    $self->{backups}->{$vmid} = { id => $backup->{backupId}, added => 0 };
    $self->{unlogged}->{$vmid} = $backup->{backupId};

    # vzdump puts 'STORE:backup/' before it
    return { 'archive-name' => PVE::Vzvault::Volname::parse($backup->{volume})->{name} };
}

# A container is refused here, by the daemon's E_UNSUPPORTED.
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

# Can come with $success = 0 after a commit, and even after a call with $success = 1.
sub backup_cleanup {
    my ($self, $vmid, $vmtype, $success, $info) = @_;

    my $backup = delete $self->{backups}->{$vmid} // { added => 0 };
    if (defined(my $id = $backup->{id})) {
        my $error = $info->{error};
        $error = substr($error, 0, PVE::Vzvault::Schema::MAX_ERROR_CHARS) if defined($error);
        $self->_clean_up('backup.end', backupId => $id, success => $success, error => $error);
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

    my $backup = _parse($volname);
    raise('E_UNSUPPORTED', "cannot restore $volname, a container's backup")
        if $backup->{type} ne 'qemu';

    return ('qemu-img', 'qemu');
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

    my $restore = $self->_call('restore.begin', $self->_storage(), volume => $volname);
    $self->{restores}->{$volname} = $restore->{restoreId};
    my $disks = $restore->{disks};

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

    my $id = delete $self->{restores}->{$volname} // return;
    $self->_clean_up('restore.end', restoreId => $id);

    return;
}

# --- helpers ---

sub _call {
    my ($self, $method, %params) = @_;

    return PVE::Vzvault::Client::call($method, \%params, log => $self->{log});
}

# A daemon that is gone has nothing to clean up, and what failed by that has said so.
sub _clean_up {
    my ($self, $method, %params) = @_;

    return if eval { $self->_call($method, %params); 1 };
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
