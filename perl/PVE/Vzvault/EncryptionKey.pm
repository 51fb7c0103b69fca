package PVE::Vzvault::EncryptionKey;

# The key of a storage: /etc/pve/priv/storage/STORAGE-ID.enc, for root only and on every node of the
# cluster, as Proxmox VE has it for its own backup servers. docs/format.md (Keys outside of the
# repository) describes the file.
#
# The daemon reads it by itself: a key never goes over the socket. Loaded by the storage's hooks only.
#
# A key that a repository may need is never deleted, but kept beside, as STORAGE-ID.enc.old.FINGERPRINT:
# the name is the key's own, so that no kept key takes the place of another. /etc/pve is pmxcfs, which
# has rename in one step, also over a file that is there, but no link: a key goes aside by a rename, or,
# where it may have to come back, by a copy that is whole before its place is taken. The node can be
# reset between any two steps; recover() and kept() find what is left then.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use Errno qw(ENOENT);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);

use PVE::Tools;

use constant {
    DIRECTORY => '/etc/pve/priv/storage',
    KEY_BYTES => 32,
    MAX_BYTES => 16 * 1024, # of a key file
    MAX_KEPT => 8, # that are tried: the hooks run under a lock that has 60 s
};

# A key out of what the property was given: `autogen`, the text of a key file, or the 32 bytes of a
# key as 64 hex digits or in base64. Answers { text, fingerprint }; dies with a line that does not
# quote it.
sub from_value {
    my ($value) = @_;

    return $value eq 'autogen' ? _make(_random()) : _from_text($value);
}

sub _from_text {
    my ($value) = @_;

    return _make(pack('H*', $1)) if $value =~ m/\A\s*([0-9a-fA-F]{64})\s*\z/;
    return _make(decode_base64($1)) if $value =~ m!\A\s*([A-Za-z0-9+/]{43}=)\s*\z!;

    my $file = length($value) <= MAX_BYTES ? eval { JSON::PP::decode_json($value) } : undef;
    die "the encryption key is not one of vzvault: give autogen, a key file or 64 hex digits\n"
        if ref($file) ne 'HASH' || ($file->{vzvaultKey} // '') ne '1';
    die "the key file is sealed by a passphrase, which nobody can enter for a backup; take it away"
        . " with vzvault key passphrase --none\n"
        if $file->{sealed};
    my ($base64) = ($file->{key} // '') =~ m!\A([A-Za-z0-9+/]{43}=)\z!;
    die "the key file has no key of @{[KEY_BYTES]} bytes\n" if !$base64;

    return _make(decode_base64($base64));
}

# What the key file of a storage holds; undef where there is none.
sub get {
    my ($storeid) = @_;

    return _read(path($storeid));
}

sub put {
    my ($storeid, $text) = @_;

    _write(path($storeid), $text);
    return;
}

# Only for what is no repository's key, or is kept elsewhere. Repeatable.
sub remove {
    my ($storeid) = @_;

    _unlink(path($storeid));
    return;
}

# Takes the key away from the storage and keeps it beside. Answers the path of the kept file, undef where
# the storage has no key. Repeatable.
sub set_aside {
    my ($storeid) = @_;

    my $text = get($storeid) // return;
    my $kept = _kept_path($storeid, $text);
    _rename(path($storeid), $kept);
    return $kept;
}

# The keys that are kept of a storage: a list of { path, text, fingerprint }, the newest first. Files
# that hold no key of ours are none of them.
sub kept {
    my ($storeid) = @_;

    my ($directory, $name) = path($storeid) =~ m!\A(.+)/([^/]+)\z!;
    opendir(my $entries, $directory) or return [];
    my @kept;
    for my $entry (readdir($entries)) {
        my ($suffix) = $entry =~ m/\A\Q$name\E(\.old\.[0-9a-f]{32})\z/ or next;
        my $path = "$directory/$name$suffix";
        my $key = eval { _from_text(_read($path)) } // next;
        my $changed_at = (stat($path))[9] // 0;
        push @kept, { $key->%*, path => $path, changed_at => $changed_at };
    }
    @kept = sort { $b->{changed_at} <=> $a->{changed_at} || $a->{path} cmp $b->{path} } @kept;
    splice(@kept, MAX_KEPT) if @kept > MAX_KEPT;

    return \@kept;
}

# Deletes the kept copy of a key that the storage itself has. Repeatable.
sub forget_kept {
    my ($storeid) = @_;

    my $text = get($storeid) // return;
    _unlink(_kept_path($storeid, $text));
    return;
}

# Puts the key in place of the storage's own, and runs $try. Where that dies, the key is as it was
# before; the one from before is kept until then.
sub replace {
    my ($storeid, $text, $try) = @_;

    my $before = get($storeid);
    my $kept = defined($before) ? _kept_path($storeid, $before) : undef;
    _write($kept, $before) if $kept;
    if (!eval { put($storeid, $text); $try->(); 1 }) {
        my $err = $@;
        eval { $kept ? _rename($kept, path($storeid)) : remove($storeid) };
        warn $@ if $@;
        die $err;
    }
    _unlink($kept) if $kept;

    return;
}

# Ends a replace() that was cut short: the key that storage.cfg names comes back to its place. Answers
# whether there was one. Repeatable.
sub recover {
    my ($storeid, $fingerprint) = @_;

    my $now = get($storeid) // return 0; # it was taken away, or never there
    my ($kept) = grep { $_->{fingerprint} eq $fingerprint } kept($storeid)->@*;
    return 0 if !$kept;
    if (is_key_of($now, $fingerprint)) {
        _unlink($kept->{path}); # its copy
        return 0;
    }
    _rename($kept->{path}, path($storeid));
    return 1;
}

# Whether the text of a key file, or undef, has the key of that fingerprint.
sub is_key_of {
    my ($text, $fingerprint) = @_;

    my $key = defined($text) ? eval { _from_text($text) } : undef;
    return $key && $key->{fingerprint} eq $fingerprint ? 1 : 0;
}

sub path {
    my ($storeid) = @_;

    my ($clean) = $storeid =~ m/\A([A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9])\z/
        or die "'$storeid' is not a storage id\n";
    return _directory() . "/$clean.enc";
}

# What is no key of ours is kept by a digest of its text.
sub _kept_path {
    my ($storeid, $text) = @_;

    my $key = eval { _from_text($text) };
    my ($name) = ($key ? $key->{fingerprint} : sha256_hex($text)) =~ m/\A([0-9a-f]{32})/;
    return path($storeid) . ".old.$name";
}

sub _read {
    my ($path) = @_;

    open(my $file, '<:raw', $path) or do {
        return if $! == ENOENT;
        die "cannot read the encryption key $path: $!\n";
    };
    local $/ = undef;
    return scalar(readline($file));
}

sub _write {
    my ($path, $text) = @_;

    mkdir(_directory(), 0700); # on a cluster's file system it is there
    PVE::Tools::file_set_contents($path, $text, 0600);
    return;
}

sub _rename {
    my ($from, $to) = @_;

    rename($from, $to) or die "cannot rename the encryption key $from to $to: $!\n";
    return;
}

sub _unlink {
    my ($path) = @_;

    unlink($path) or $! == ENOENT or die "cannot remove the encryption key $path: $!\n";
    return;
}

sub _directory {
    my ($directory) = ($ENV{VZVAULT_KEY_DIR} // DIRECTORY) =~ m!\A(/[-/a-zA-Z0-9_.@]+)\z!
        or die "VZVAULT_KEY_DIR is not a path\n";
    return $directory;
}

sub _random {
    open(my $random, '<:raw', '/dev/urandom') or die "/dev/urandom: $!\n";
    my $bytes = '';
    while (length($bytes) < KEY_BYTES) {
        sysread($random, $bytes, KEY_BYTES - length($bytes), length($bytes))
            or die "/dev/urandom: $!\n";
    }
    return $bytes;
}

sub _make {
    my ($key) = @_;

    my ($fingerprint) = hmac_sha256_hex('vzvault key', $key) =~ m/\A([0-9a-f]{32})/; # untaints
    my @t = gmtime();
    my $file = {
        vzvaultKey => 1,
        fingerprint => $fingerprint,
        repositoryId => undef,
        createdAt => sprintf('%04d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0]),
        key => encode_base64($key, ''),
    };
    my $text = JSON::PP->new()->canonical()->pretty()->encode($file);

    return { text => $text, fingerprint => $fingerprint };
}

1;
