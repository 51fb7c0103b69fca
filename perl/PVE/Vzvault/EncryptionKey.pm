package PVE::Vzvault::EncryptionKey;

# The key of a storage: /etc/pve/priv/storage/STORAGE-ID.enc, for root only and on every node of the
# cluster, as Proxmox VE has it for its own backup servers. docs/format.md (Keys outside of the
# repository) describes the file.
#
# The daemon reads it by itself: a key never goes over the socket. Loaded by the storage's hooks only.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use Errno qw(ENOENT);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);

use PVE::Tools;

use constant {
    DIRECTORY => '/etc/pve/priv/storage',
    KEY_BYTES => 32,
    MAX_BYTES => 16 * 1024, # of a key file
};

# A key out of what the property was given: `autogen`, the text of a key file, or the 32 bytes of a
# key as 64 hex digits or in base64. Answers { text, fingerprint }; dies with a line that does not
# quote it.
sub from_value {
    my ($value) = @_;

    return _make(_random()) if $value eq 'autogen';
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

    my $path = path($storeid);
    open(my $file, '<:raw', $path) or do {
        return if $! == ENOENT;
        die "cannot read the encryption key $path: $!\n";
    };
    local $/ = undef;
    return scalar(readline($file));
}

sub put {
    my ($storeid, $text) = @_;

    mkdir(_directory(), 0700); # on a cluster's file system it is there
    PVE::Tools::file_set_contents(path($storeid), $text, 0600);
    return;
}

# Repeatable.
sub remove {
    my ($storeid) = @_;

    my $path = path($storeid);
    unlink($path) or $! == ENOENT or die "cannot remove the encryption key $path: $!\n";
    return;
}

# Runs $code with the key file as $text has it (undef: without one). Where it dies, the file is as it
# was before.
sub with_file {
    my ($storeid, $text, $code) = @_;

    my $before = get($storeid);
    my $set = sub { defined($_[0]) ? put($storeid, $_[0]) : remove($storeid) };
    $set->($text);
    return if eval { $code->(); 1 };
    my $err = $@;
    eval { $set->($before) };
    warn $@ if $@;
    die $err;
}

sub path {
    my ($storeid) = @_;

    my ($clean) = $storeid =~ m/\A([A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9])\z/
        or die "'$storeid' is not a storage id\n";
    return _directory() . "/$clean.enc";
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
