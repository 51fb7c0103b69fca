package PVE::Vzvault::Hooks;

# What happens when a storage is added, changed or removed: its key is kept, and its repository made.
# Nowhere else a repository is made by Proxmox VE. Loaded by the hooks of the storage plugin only.
#
# Nothing here deletes a key that a repository may need: it may be the only one, and nobody has seen it.

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

# The daemon's answers that say for sure that a repository needs another key, or none.
my %IS_NOT_THE_KEY = map { $_ => 1 } qw(E_KEY_MISSING E_KEY_WRONG E_SUITE_MISMATCH);

# Keeps the key, if there is one, and makes the repository, unless there is one. Sets in $scfg what
# belongs into storage.cfg, and answers what is to be shown.
sub added {
    my ($plugin, $storeid, $scfg, $sensitive) = @_;

    $scfg->{'vzvault-instance'} //= PVE::Vzvault::Properties::random_instance();
    my $value = $sensitive->{'encryption-key'};
    my $key = defined($value) ? PVE::Vzvault::EncryptionKey::from_value($value) : undef;
    my $is_used = _is_used_here($scfg);
    _make_directory($plugin, $storeid, $scfg) if $is_used;
    PVE::Vzvault::EncryptionKey::set_aside($storeid); # of an attempt that was cut short
    $key = _kept_key($storeid, $scfg) // $key if $is_used && $key && $value eq 'autogen';
    $scfg->{'encryption-key'} = $key->{fingerprint} if $key;
    PVE::Vzvault::EncryptionKey::put($storeid, $key->{text}) if $key;
    if ($is_used && !eval { PVE::Vzvault::Backups::call($storeid, $scfg, 'storage.create'); 1 }) {
        _not_created($storeid, $value, $@);
    }
    _forget_copy($storeid);

    return $key ? { 'encryption-key' => $key->{text} } : undef;
}

# Only the key concerns the repository: path and chunk size are fixed. Another key has to open it. What
# nobody can try here is not taken: it would take the place of a key that may be the only one.
sub updated {
    my ($storeid, $scfg, $update, $delete, $sensitive) = @_;

    return if !exists($sensitive->{'encryption-key'});
    _recover($storeid, $scfg);
    my $value = $sensitive->{'encryption-key'};
    if (!defined($value)) {
        _take_away($storeid);
        return;
    }

    _refuse($storeid, 'autogen makes a new key, which opens no repository that is there; give a file'
        . ' with one that does: vzvault key add makes another, vzvault key restore takes the recovery'
        . ' sheet')
        if $value eq 'autogen';
    my $key = PVE::Vzvault::EncryptionKey::from_value($value);
    my $changed = { $scfg->%*, $update->%* };
    delete $changed->@{ $delete->@* } if $delete;
    $changed->{'encryption-key'} = $key->{fingerprint};
    my $is_used = _is_used_here($changed);
    my $try = sub { PVE::Vzvault::Backups::call($storeid, $changed, 'storage.unlock') if $is_used };
    my $now = PVE::Vzvault::EncryptionKey::get($storeid);
    if (PVE::Vzvault::EncryptionKey::is_key_of($now, $key->{fingerprint})) {
        $try->();
    } else {
        _refuse($storeid, 'this node does not use the storage, so that nothing can try the new one;'
            . ' run it on a node that does, while the storage is not disabled')
            if !$is_used;
        PVE::Vzvault::EncryptionKey::replace($storeid, $key->{text}, $try);
    }
    _forget_copy($storeid);
    $update->{'encryption-key'} = $key->{fingerprint};

    return { 'encryption-key' => $key->{text} };
}

# PVE also calls this where a storage that was just added cannot be activated: its repository is there
# then, and its key has not been shown yet.
sub removed {
    my ($storeid, $scfg) = @_;

    _recover($storeid, $scfg);
    _take_away($storeid);
    return;
}

sub _refuse {
    my ($storeid, $why) = @_;

    my $message = "the encryption key of $storeid is not changed: $why";
    return PVE::Vzvault::Error::raise('E_ARGUMENT_INVALID', $message);
}

# What fails here leaves one copy too many.
sub _forget_copy {
    my ($storeid) = @_;

    eval { PVE::Vzvault::EncryptionKey::forget_kept($storeid) };
    warn $@ if $@;
    return;
}

sub _take_away {
    my ($storeid) = @_;

    my $kept = PVE::Vzvault::EncryptionKey::set_aside($storeid) // return;
    warn "the encryption key of $storeid is kept in $kept; give that file as --encryption-key where it"
        . " is needed again (pvesm add finds it by autogen too); delete it once no backup needs it\n";
    return;
}

sub _recover {
    my ($storeid, $scfg) = @_;

    my $fingerprint = $scfg->{'encryption-key'} // return;
    warn "a change of the encryption key of $storeid was cut short; the key from before is back in its"
        . " place\n"
        if PVE::Vzvault::EncryptionKey::recover($storeid, $fingerprint);
    return;
}

# The key among those that are kept which opens the repository that is there; undef where none does.
sub _kept_key {
    my ($storeid, $scfg) = @_;

    for my $key (PVE::Vzvault::EncryptionKey::kept($storeid)->@*) {
        my $tried = { $scfg->%*, 'encryption-key' => $key->{fingerprint} };
        PVE::Vzvault::EncryptionKey::put($storeid, $key->{text});
        if (eval { PVE::Vzvault::Backups::call($storeid, $tried, 'storage.unlock'); 1 }) {
            warn "the repository is there, and opened by the key that was kept in $key->{path}\n";
            return $key;
        }
        my $err = $@;
        PVE::Vzvault::EncryptionKey::remove($storeid); # it is kept
        my $code = PVE::Vzvault::Error::code_of($err) // die $err;
        return if $code eq 'E_REPOSITORY_MISSING';
        die $err if $code ne 'E_KEY_WRONG';
    }

    return;
}

# Whether there is a repository now is not known, unless the daemon said that another is there.
sub _not_created {
    my ($storeid, $value, $err) = @_;

    my $code = PVE::Vzvault::Error::code_of($err) // '';
    my $kept;
    if ($IS_NOT_THE_KEY{$code}) {
        PVE::Vzvault::EncryptionKey::remove($storeid);
        my $was_tried = $code eq 'E_SUITE_MISMATCH' || ($value // '') eq 'autogen';
        my ($newest) = $was_tried ? () : PVE::Vzvault::EncryptionKey::kept($storeid)->@*;
        $kept = $newest->{path} if $newest;
    } else {
        $kept = eval { PVE::Vzvault::EncryptionKey::set_aside($storeid) };
        warn $@ if $@;
    }
    die $err if !$kept;
    die PVE::Vzvault::Error::advise($err, "a key is kept in $kept; add the storage again with"
        . ' --encryption-key autogen, which tries it');
}

# What has to be a mount point is never made here.
sub _make_directory {
    my ($plugin, $storeid, $scfg) = @_;

    $plugin->check_connection($storeid, $scfg); # before anything is made
    return if PVE::Vzvault::Section::storage($storeid, $scfg)->{isMountpoint} ne '';

    my $path = PVE::Vzvault::Properties::path($scfg);
    my $mkdir = sub { $plugin->config_aware_base_mkdir($scfg, $path); return 1 };
    PVE::Tools::run_fork_with_timeout(MKDIR_SECONDS, $mkdir)
        or PVE::Vzvault::Error::raise('E_STORAGE_TIMEOUT', "cannot create $path");

    return;
}

sub _is_used_here {
    my ($scfg) = @_;

    return 0 if $scfg->{disable};
    return 1 if !$scfg->{nodes};
    return $scfg->{nodes}->{ PVE::INotify::nodename() } ? 1 : 0;
}

1;
