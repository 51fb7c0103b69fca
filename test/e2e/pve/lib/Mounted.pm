package Mounted;

# File systems for a container beside its root: images that PVE mounts by itself.

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(make_path);

use Node;

our @EXPORT = qw(change_image image);

# An ext4 image, whose root belongs to the host's id $base. The file is made with $MiB unless it is there.
# $fill is called with the path at which the image is mounted meanwhile.
sub image {
    my ($path, $MiB, $base, $fill) = @_;

    fill($path, $MiB * 1024 * 1024) if !-e $path;
    my @options = ('-q', '-F', '-b', 4096, '-I', 256, '-E', "root_owner=$base:$base");
    system('/sbin/mkfs.ext4', @options, $path) == 0 or die "mkfs.ext4 failed\n";
    return change_image($path, $fill);
}

sub change_image {
    my ($path, $change) = @_;

    my $mount = '/mnt/image';
    make_path($mount);
    system('/bin/mount', '-o', 'loop', $path, $mount) == 0 or die "mount failed\n";
    my $changed = eval { $change->($mount); 1 };
    my $error = $@;
    system('/bin/umount', $mount) == 0 or die "umount failed\n";
    die $error if !$changed;
    return $path;
}

1;
