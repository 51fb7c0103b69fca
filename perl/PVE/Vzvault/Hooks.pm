package PVE::Vzvault::Hooks;

# What happens when a storage is added or changed: its key is kept, and its repository made. Nowhere
# else a repository is made by Proxmox VE. Loaded by the hooks of the storage plugin only.

use strict;
use warnings;

use PVE::INotify;
use PVE::Tools;

use PVE::Vzvault::Backups;
use PVE::Vzvault::EncryptionKey;
use PVE::Vzvault::Error;
use PVE::Vzvault::Properties;
use PVE::Vzvault::Section;

use constant MKDIR_SECONDS => 10;

# Keeps the key, if there is one, and makes the repository, unless there is one. Sets in $scfg what
# belongs into storage.cfg, and answers what is to be shown.
sub added {
    my ($plugin, $storeid, $scfg, $sensitive) = @_;

    $scfg->{'vzvault-instance'} //= PVE::Vzvault::Properties::random_instance();
    my $value = $sensitive->{'encryption-key'};
    my $key = defined($value) ? PVE::Vzvault::EncryptionKey::from_value($value) : undef;
    $scfg->{'encryption-key'} = $key->{fingerprint} if $key;
    PVE::Vzvault::EncryptionKey::with_file(
        $storeid,
        $key ? $key->{text} : undef,
        sub { _make_repository($plugin, $storeid, $scfg) },
    );

    return $key ? { 'encryption-key' => $key->{text} } : undef;
}

# Only the key concerns the repository: path and chunk size are fixed. Another key has to open it.
sub updated {
    my ($storeid, $scfg, $update, $sensitive) = @_;

    return if !exists($sensitive->{'encryption-key'});
    my $value = $sensitive->{'encryption-key'};
    if (!defined($value)) {
        PVE::Vzvault::EncryptionKey::remove($storeid);
        return;
    }

    my $key = PVE::Vzvault::EncryptionKey::from_value($value);
    my $changed = { $scfg->%*, $update->%*, 'encryption-key' => $key->{fingerprint} };
    PVE::Vzvault::EncryptionKey::with_file($storeid, $key->{text}, sub {
        PVE::Vzvault::Backups::call($storeid, $changed, 'storage.unlock') if _is_used_here($changed);
    });
    $update->{'encryption-key'} = $key->{fingerprint};

    return { 'encryption-key' => $key->{text} };
}

# What has to be a mount point is never made here.
sub _make_repository {
    my ($plugin, $storeid, $scfg) = @_;

    return if !_is_used_here($scfg);

    $plugin->check_connection($storeid, $scfg); # before anything is made
    if (PVE::Vzvault::Section::storage($storeid, $scfg)->{isMountpoint} eq '') {
        my $path = PVE::Vzvault::Properties::path($scfg);
        my $mkdir = sub { $plugin->config_aware_base_mkdir($scfg, $path); return 1 };
        PVE::Tools::run_fork_with_timeout(MKDIR_SECONDS, $mkdir)
            or PVE::Vzvault::Error::raise('E_STORAGE_TIMEOUT', "cannot create $path");
    }
    PVE::Vzvault::Backups::call($storeid, $scfg, 'storage.create');

    return;
}

sub _is_used_here {
    my ($scfg) = @_;

    return 0 if $scfg->{disable};
    return 1 if !$scfg->{nodes};
    return $scfg->{nodes}->{ PVE::INotify::nodename() } ? 1 : 0;
}

1;
