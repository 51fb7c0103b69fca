package Containers;

# What the cases about containers that go wrong share: one container 101 on the storage 'vault', and its
# backups, each restored into a new container.

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use Node;
use Tree;

our @EXPORT = qw(backup_101 is_restored is_sound listed mechanism_is noise restore);

our $BASE = 100_000;
our $ROOT = '/var/lib/vz/images/101/subvol-101-disk-0.subvol';
my $NOT_RESTORED = qr!\A(?:tmp/.+|var/tmp/.+|lost\+found|srv/socket|dev/.+)\z!s;
my $next_id = 201;

# Output and exit code of vzdump.
sub backup_101 {
    my (@more) = @_;

    return vzdump(101, '--storage', 'vault', '--mode', 'stop', @more);
}

# All backups, oldest first.
sub listed {
    my @volids = pvesm('list', 'vault') =~ m/^(vault:backup\/vzdump-lxc-101-\S+)/mg;
    return sort @volids;
}

# A file of the container with bytes that no other has, and nothing can compress.
sub noise {
    my ($name, $size) = @_;

    open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
    read($random, my $bytes, $size) == $size or die "urandom: $!\n";
    spew("$ROOT/$name", $bytes);
    chown($BASE, $BASE, "$ROOT/$name");
    return;
}

sub mechanism_is {
    my ($mechanism) = @_;

    return is((pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism))[1], 0, "set to $mechanism");
}

# Restores into a new container: output, exit code, and where its root is.
sub restore {
    my ($volid, @more) = @_;

    my $id = $next_id++;
    my @result = pct('restore', $id, $volid, '--unprivileged', 1, '--rootfs', 'target:0', @more);
    my $root = "/var/lib/target/images/$id/subvol-$id-disk-0.subvol";
    # PVE has made it itself, and has tar skip directories that are there.
    system('/usr/bin/touch', '-r', $ROOT, $root) if $result[1] == 0;
    return (@result, $root);
}

# Whether a backup is restored as the container is, or as the manifest says.
sub is_restored {
    my ($volid, $name, $manifest, @more) = @_;

    my ($output, $code, $root) = restore($volid, @more);
    is($code, 0, "$name: pct restore") || diag(daemon_log());
    unlike($output, qr/^(?:WARN|ERROR)/m, "$name: without a warning");
    return same_tree($manifest // $ROOT, $BASE, $root, $BASE, "$name: as it was", $NOT_RESTORED);
}

sub is_sound {
    my ($name) = @_;

    my ($output, $code) = vzvault('verify', 'vault');
    return is($code, 0, "$name: the repository is sound") || diag($output);
}

1;
