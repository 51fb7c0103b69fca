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

use MIME::Base64 qw(encode_base64);

use PVE::Vzvault::Calls;
use PVE::Vzvault::Client;
use PVE::Vzvault::ContainerBackup;
use PVE::Vzvault::Error qw(is_interruption raise);
use PVE::Vzvault::Incremental;
use PVE::Vzvault::Restores;
use PVE::Vzvault::Schema;
use PVE::Vzvault::TaskLog;
use PVE::Vzvault::Volname;

use base qw(PVE::BackupProvider::Plugin::Base);

sub new {
    my ($class, $storage_plugin, $scfg, $storeid, $log_function) = @_;

    my $calls = PVE::Vzvault::Calls->new($storeid, $scfg, $log_function);
    return bless {
        scfg => $scfg,
        log => $log_function,
        calls => $calls,
        restores => PVE::Vzvault::Restores->new($calls),
        backups => {}, # vmid => { id, added, volume of a container }
        unlogged => {}, # vmid => id of the last backup, until its log came
        connections => {}, # vmid => one that is open, of a container that is about to be backed up
    }, $class;
}

sub provider_name {
    return 'vzvault';
}

# --- the job ---

sub job_init {
    my ($self, $start_time) = @_;

    my $calls = $self->{calls};
    my $job = $calls->call('job.begin', $calls->storage(), startTimeSeconds => $start_time);
    $self->{job} = $job->{jobId};

    return;
}

sub job_cleanup {
    my ($self) = @_;

    my $id = delete $self->{job} // return;
    $self->{calls}->clean_up('job.end', jobId => $id);

    return;
}

# --- the backup of one guest ---

sub backup_init {
    my ($self, $vmid, $vmtype, $start_time) = @_;

    delete $self->{unlogged}->{$vmid};
    my $backup = $self->{calls}->call(
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

    return $self->{calls}->call('backup.mechanism', $self->_backup($vmid))->{mechanism};
}

sub backup_vm_query_incremental {
    my ($self, $vmid, $volumes) = @_;

    my $disks = { map { $_ => { sizeBytes => $volumes->{$_}->{size} } } keys $volumes->%* };
    my $answer = $self->{calls}->call(
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

    my %params = (
        $self->_guest_params($vmid, $guest_config, $info),
        disks => PVE::Vzvault::Incremental::disks($vmid, $volumes, $self->{log}),
    );
    my %handles = PVE::Vzvault::Incremental::file_handles($vmid, $volumes);
    my $stored =
        PVE::Vzvault::Client::call('backup.vm', \%params, log => $self->{log}, %handles);
    $self->{backups}->{$vmid}->{added} = $stored->{addedBytes};

    return;
}

# Still as root, on the host: the socket cannot be opened from inside the container's namespaces.
sub backup_container_prepare {
    my ($self, $vmid, $info) = @_;

    $self->{connections}->{$vmid} = PVE::Vzvault::Client::open_connection();

    return;
}

# As the container's root, in a child of PVE's; for a privileged container here and now. When this
# returns, the snapshot is committed.
sub backup_container {
    my ($self, $vmid, $guest_config, $exclude_patterns, $info) = @_;

    my $connection = delete $self->{connections}->{$vmid}
        // raise('E_ARGUMENT_INVALID', "the backup of the container $vmid was not prepared");
    PVE::Vzvault::ContainerBackup::run(
        $info, $exclude_patterns,
        connection => $connection,
        log => $self->{log},
        params => { $self->_guest_params($vmid, $guest_config, $info) },
    );

    return;
}

# Can come with $success = 0 after a commit, and even after a call with $success = 1. Dies only
# where PVE takes a container for backed up that is not.
sub backup_cleanup {
    my ($self, $vmid, $vmtype, $success, $info) = @_;

    my $calls = $self->{calls};
    delete $self->{connections}->{$vmid};
    my $backup = delete $self->{backups}->{$vmid} // { added => 0 };
    if (defined(my $id = $backup->{id})) {
        my $error = $info->{error};
        $error = substr($error, 0, PVE::Vzvault::Schema::MAX_ERROR_CHARS) if defined($error);
        my @how = (success => $success, error => $error);
        my $ended = $calls->clean_up('backup.end', backupId => $id, @how);
        # Of a container only the daemon knows, and PVE takes a child of its own that was killed for
        # one that succeeded (pve-common Tools.pm, run_fork).
        $backup->{added} ||= $ended->{addedBytes} if $ended;
        if ($success && !$backup->{added} && defined($backup->{volume})) {
            my @volume = (volume => $backup->{volume});
            my $entry = $calls->call('storage.info', $calls->storage(), @volume);
            $backup->{added} = $entry->{addedBytes};
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
        my @log = (logBase64 => encode_base64($log, ''));
        $self->{calls}->call('backup.keepLog', backupId => $id, @log);
    };
    return if $kept;

    my $error = $@;
    die $error if is_interruption($error);
    my $why = PVE::Vzvault::Error::line($error) =~ s/ +\z//r;
    eval { $self->{log}->('warn', "cannot keep the task log of $vmid: $why") }
        if !PVE::Vzvault::Calls::is_daemon_gone($error);

    return;
}

# --- restore ---

sub restore_get_mechanism {
    my ($self, $volname) = @_;

    return ('qemu-img', 'qemu') if PVE::Vzvault::Restores::parse($volname)->{type} eq 'qemu';

    my $directory = ($self->{scfg}->{'vzvault-ct-restore'} // 'tar') eq 'directory';
    return ($directory ? 'directory' : 'tar', 'lxc');
}

sub archive_get_guest_config {
    my ($self, $volname) = @_;

    return $self->{restores}->read_config($volname, 'guest.conf');
}

sub archive_get_firewall_config {
    my ($self, $volname) = @_;

    return $self->{restores}->read_config($volname, 'firewall.conf');
}

sub restore_vm_init {
    my ($self, $volname) = @_;

    my $disks = $self->{restores}->begin($volname);

    return { map { $_ => { size => $disks->{$_}->{sizeBytes} } } keys $disks->%* };
}

sub restore_vm_volume_init {
    my ($self, $volname, $device_name, $info) = @_;

    return { 'qemu-img-path' => $self->{restores}->open_disk($volname, $device_name) };
}

sub restore_vm_volume_cleanup {
    my ($self, $volname, $device_name, $info) = @_;

    return $self->{restores}->close_disk($volname, $device_name);
}

sub restore_vm_cleanup {
    my ($self, $volname) = @_;

    return $self->{restores}->end($volname);
}

# For containers PVE has the storage id behind the name.
sub restore_container_init {
    my ($self, $volname) = @_;

    my ($mechanism) = $self->restore_get_mechanism($volname);
    my $path = $self->{restores}->begin_archive($volname, $mechanism);

    return $mechanism eq 'tar' ? { 'tar-path' => $path } : { 'archive-directory' => $path };
}

sub restore_container_cleanup {
    my ($self, $volname) = @_;

    return $self->{restores}->end($volname);
}

# --- helpers ---

sub _backup {
    my ($self, $vmid) = @_;

    return (backupId => $self->{backups}->{$vmid}->{id});
}

# What the calls that back a guest up have in common.
sub _guest_params {
    my ($self, $vmid, $guest_config, $info) = @_;

    return (
        $self->_backup($vmid),
        configBase64 => _to_base64($guest_config),
        firewallBase64 => _to_base64($info->{'firewall-config'}),
        bandwidthLimitBytesPerSecond => $info->{'bandwidth-limit'} || 0,
    );
}

# PVE hands over bytes; should they ever be characters, they are stored as UTF-8. undef stays undef.
sub _to_base64 {
    my ($bytes) = @_;

    return undef if !defined($bytes); ## no critic (ProhibitExplicitReturnUndef): nil, not ()
    utf8::encode($bytes) if !utf8::downgrade($bytes, 1);
    return encode_base64($bytes, '');
}

1;
