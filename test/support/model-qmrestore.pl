#!/usr/bin/perl -T
# Stands in for qmrestore: all disks of one backup through the backup provider, in a process of its own under taint mode, in the order of
# PVE/QemuServer.pm, restore_external_archive.
#
#   model-qmrestore.pl STOREID PATH VOLNAME TARGET_DIRECTORY
#
# Leaves TARGET_DIRECTORY/DEVICE.raw. What goes wrong is printed, and the exit code is 1 then.

use strict;
use warnings;

use PVE::Storage;
use PVE::Tools;
use PVE::Storage::Custom::VzvaultPlugin;

$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};

my ($storeid, $path, $volname, $target) = @ARGV;
my $scfg = { type => 'vzvault', path => $path, content => { backup => 1 } };
my $provider = PVE::Storage::Custom::VzvaultPlugin->new_backup_provider($scfg, $storeid,
    sub { my ($level, $line) = @_; print "$level: $line\n" });

my $ok = eval {
    my ($mechanism) = $provider->restore_get_mechanism($volname);
    die "unexpected mechanism '$mechanism'\n" if $mechanism ne 'qemu-img';
    die "no configuration\n" if !$provider->archive_get_guest_config($volname);
    my $devices = $provider->restore_vm_init($volname);
    restore($_) for sort keys $devices->%*;
    1;
};
my $error = $@;
# Always, also where nothing was begun.
eval { $provider->restore_vm_cleanup($volname); 1 } or $error ||= $@;
if (!$ok || $error) {
    print "restore failed: $error\n";
    exit(1);
}

sub restore {
    my ($device) = @_;

    my $image = $provider->restore_vm_volume_init($volname, $device, {})->{'qemu-img-path'};
    my ($file) = "$target/$device.raw" =~ m!\A([A-Za-z0-9/._-]+)\z! or die "'$target' holds odd characters\n";
    my $converted = eval {
        system(qw(qemu-img convert -f raw -O raw), $image, $file) == 0 or die "qemu-img failed\n";
    };
    my $why = $@;
    $provider->restore_vm_volume_cleanup($volname, $device, {});
    die $why if !$converted;

    return;
}
