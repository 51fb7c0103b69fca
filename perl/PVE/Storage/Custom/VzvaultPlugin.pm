package PVE::Storage::Custom::VzvaultPlugin;

# Storage type `vzvault`: a directory that holds a vzvault repository beside what PVE keeps in any
# directory storage. Backups of ours are the daemon's business, one call each; every other volume
# name and content type goes to the parent class.
#
# - A plugin that does not load takes its sections out of storage.cfg at the next `pvesm set`. So
#   only pure Perl of ours is loaded here; client and provider are loaded by the first call.
# - pvestatd calls check_connection, activate_storage and status in line, for all storages in turn.
#   A hung mount must not hang it: Perl touches the path only after the daemon said that it answers.

use strict;
use warnings;

use PVE::Vzvault::Properties;
use PVE::Vzvault::Volname;

use base qw(PVE::Storage::DirPlugin);

use constant {
    API_MIN => 11, # Proxmox VE 8.4, the first with backup providers
    API_MAX => 15, # 12 to 15 ask nothing new of a storage for backups
};

# --- what we are ---

sub api {
    my $theirs = PVE::Storage->can('APIVER');
    my $version = $theirs ? $theirs->() : API_MAX;

    return API_MIN if $version < API_MIN; # PVE refuses us by that
    return $version > API_MAX ? API_MAX : $version;
}

sub type {
    return 'vzvault';
}

sub plugindata {
    return {
        content => [
            { map { $_ => 1 } qw(backup iso vztmpl import snippets none) },
            { backup => 1 },
        ],
        features => { 'backup-provider' => 1 },
        'sensitive-properties' => { 'encryption-key' => 1 },
    };
}

sub properties {
    return PVE::Vzvault::Properties::definitions();
}

sub options {
    return PVE::Vzvault::Properties::options();
}

sub check_config {
    my ($class, $storeid, $config, $create, @rest) = @_;

    my $opts = $class->SUPER::check_config($storeid, $config, $create, @rest);
    PVE::Vzvault::Properties::check($opts, $create);

    return $opts;
}

# --- names ---

sub parse_volname {
    my ($class, $volname) = @_;

    return $class->SUPER::parse_volname($volname) if !PVE::Vzvault::Volname::is_backup($volname);

    # Plain vzdump archives in the same directory are no concern of this type: PVE would ask our
    # backup provider to restore them.
    my $backup = PVE::Vzvault::Volname::parse($volname)
        // die "unable to parse '$volname' as the name of a vzvault backup\n";
    my $format = PVE::Vzvault::Volname::FORMAT;
    return ('backup', $backup->@{qw(name vmid)}, undef, undef, undef, $format);
}

# A path for display. No such file exists, and its last part does not look like vzdump's, because
# PVE deletes log and notes files beside paths that do.
sub filesystem_path {
    my ($class, $scfg, $volname, $snapname) = @_;

    my $backup = PVE::Vzvault::Volname::parse($volname)
        // return $class->SUPER::filesystem_path($scfg, $volname, $snapname);

    my $base = PVE::Vzvault::Properties::path($scfg);
    my ($when) = $backup->{name} =~ m/-([0-9_]+-[0-9_]+\.vzv)\z/;
    my $path = "$base/vzvault/backup/$backup->{type}/$backup->{vmid}/$when";
    return wantarray ? ($path, $backup->{vmid}, 'backup') : $path;
}

# --- lists ---

sub list_volumes {
    my ($class, $storeid, $scfg, $vmid, $content_types) = @_;

    my @others = grep { $_ ne 'backup' } $content_types->@*;
    my $volumes =
        @others ? $class->SUPER::list_volumes($storeid, $scfg, $vmid, \@others) : [];
    return $volumes if @others == $content_types->@*;

    require PVE::Vzvault::Backups;
    push $volumes->@*, PVE::Vzvault::Backups::volumes($storeid, $scfg, $vmid)->@*;

    return $volumes;
}

# Guest disks cannot live here.
sub list_images {
    return [];
}

sub alloc_image {
    my ($class, $storeid) = @_;

    die "storage '$storeid' is of type vzvault, which holds no guest disks\n";
}

# --- one volume ---

sub volume_size_info {
    my ($class, $scfg, $storeid, $volname, $timeout) = @_;

    my $backup = PVE::Vzvault::Volname::parse($volname)
        // return $class->SUPER::volume_size_info($scfg, $storeid, $volname, $timeout);

    my $entry = _call($storeid, $scfg, 'storage.info', volume => $backup->{volume});
    my $size = $entry->{sizeBytes} || 1; # PVE offers no "Edit Notes" for a size of 0
    return $size if !wantarray;
    return ($size, PVE::Vzvault::Volname::FORMAT, $entry->{addedBytes}, undef, $backup->{ctime});
}

sub get_volume_attribute {
    my ($class, $scfg, $storeid, $volname, $attribute) = @_;

    my $backup = PVE::Vzvault::Volname::parse($volname)
        // return $class->SUPER::get_volume_attribute($scfg, $storeid, $volname, $attribute);

    return if $attribute ne 'notes' && $attribute ne 'protected';
    return _call($storeid, $scfg, 'storage.info', volume => $backup->{volume})->{$attribute};
}

sub update_volume_attribute {
    my ($class, $scfg, $storeid, $volname, $attribute, $value) = @_;

    my $backup = PVE::Vzvault::Volname::parse($volname)
        // return $class->SUPER::update_volume_attribute(
            $scfg, $storeid, $volname, $attribute, $value);

    my @volume = (volume => $backup->{volume});
    if ($attribute eq 'notes') {
        _call($storeid, $scfg, 'storage.setNotes', @volume, notes => $value // '');
    } elsif ($attribute eq 'protected') {
        _call($storeid, $scfg, 'storage.setProtected', @volume, protected => $value);
    } else {
        die "attribute '$attribute' is not supported for storage type 'vzvault'\n";
    }

    return;
}

# The methods that PVE had for notes before attributes; the parent's would look for a file.
sub get_volume_notes {
    my ($class, $scfg, $storeid, $volname) = @_;

    return $class->get_volume_attribute($scfg, $storeid, $volname, 'notes');
}

sub update_volume_notes {
    my ($class, $scfg, $storeid, $volname, $notes) = @_;

    return $class->update_volume_attribute($scfg, $storeid, $volname, 'notes', $notes);
}

sub activate_volume {
    my ($class, $storeid, $scfg, $volname, @rest) = @_;

    return if PVE::Vzvault::Volname::parse($volname);
    return $class->SUPER::activate_volume($storeid, $scfg, $volname, @rest);
}

sub free_image {
    my ($class, $storeid, $scfg, $volname, @rest) = @_;

    my $backup = PVE::Vzvault::Volname::parse($volname)
        // return $class->SUPER::free_image($storeid, $scfg, $volname, @rest);

    # The daemon refuses a protected one in the same step.
    _call($storeid, $scfg, 'storage.free', volume => $backup->{volume});
    return; # no work is left for a background task
}

# --- retention ---

sub prune_backups {
    my ($class, $scfg, $storeid, $keep, $vmid, $type, $dryrun, $logfunc) = @_;

    require PVE::Vzvault::Backups;
    my $pruned = PVE::Vzvault::Backups::mark($storeid, $scfg, $keep, $vmid, $type);
    PVE::Vzvault::Backups::remove_marked($storeid, $scfg, $pruned, $logfunc) if !$dryrun;

    return $pruned;
}

# --- the storage itself ---

sub check_connection {
    my ($class, $storeid, $scfg) = @_;

    require PVE::Vzvault::Client;
    PVE::Vzvault::Client::call('daemon.ping', {});
    return 1;
}

# Never creates a repository, nor anything else before the daemon has found one.
sub activate_storage {
    my ($class, $storeid, $scfg, $cache) = @_;

    _call($storeid, $scfg, 'storage.activate');

    # The directories of what PVE keeps beside the repository: the grandparent makes them without
    # looking for mount points first, which the daemon has done.
    my $content = { ($scfg->{content} // {})->%* };
    delete $content->@{qw(backup none)};
    my $others = { $scfg->%*, content => $content, path => PVE::Vzvault::Properties::path($scfg) };
    PVE::Storage::Plugin::activate_storage($class, $storeid, $others, $cache) if $content->%*;

    return 1;
}

sub status {
    my ($class, $storeid, $scfg, $cache) = @_;

    my $status = _call($storeid, $scfg, 'storage.status');
    return ($status->@{qw(totalBytes availableBytes usedBytes)}, 1);
}

# PVE writes to storage.cfg what is set in $scfg here, and shows to whoever adds the storage what is
# answered.
sub on_add_hook {
    my ($class, $storeid, $scfg, %sensitive) = @_;

    require PVE::Vzvault::Hooks;
    return PVE::Vzvault::Hooks::added($class, $storeid, $scfg, \%sensitive);
}

# The form before API version 13, which tells the changes only.
sub on_update_hook {
    my ($class, $storeid, $update, %sensitive) = @_;

    return if !exists($sensitive{'encryption-key'});
    my $scfg = PVE::Storage::storage_config(PVE::Storage::config(), $storeid);
    return $class->on_update_hook_full($storeid, $scfg, $update, undef, \%sensitive);
}

sub on_update_hook_full {
    my ($class, $storeid, $scfg, $update, $delete, $sensitive) = @_;

    require PVE::Vzvault::Hooks;
    return PVE::Vzvault::Hooks::updated($storeid, $scfg, $update, $delete, $sensitive);
}

# PVE also calls this when adding a storage failed: backups outlive their storage.cfg section, and their
# key is kept beside its place.
sub on_delete_hook {
    my ($class, $storeid, $scfg) = @_;

    require PVE::Vzvault::Hooks;
    PVE::Vzvault::Hooks::removed($storeid, $scfg);
    return;
}

sub get_identity {
    my ($class, $scfg, $storeid) = @_;

    return _call($storeid, $scfg, 'storage.activate')->{repositoryId};
}

# Called often and early, so it does nothing yet.
sub new_backup_provider {
    my ($class, $scfg, $storeid, $log_function) = @_;

    require PVE::BackupProvider::Plugin::Vzvault;
    return PVE::BackupProvider::Plugin::Vzvault->new($class, $scfg, $storeid, $log_function);
}

# --- helpers ---

sub _call {
    my ($storeid, $scfg, $method, %params) = @_;

    require PVE::Vzvault::Backups;
    return PVE::Vzvault::Backups::call($storeid, $scfg, $method, %params);
}

1;
