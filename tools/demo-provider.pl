#!/usr/bin/perl -T
# Calls the storage plugin and the backup provider in the order in which Proxmox VE does, under taint mode as vzdump and
# qmrestore run. For tools/demo.ts.
#
#   demo-provider.pl add STOREID PATH
#   demo-provider.pl backup STOREID PATH VMID CONFIG_FILE DEVICE=SIZE=SOCKET ...
#   demo-provider.pl restore STOREID PATH VOLNAME TARGET_DIRECTORY
#   demo-provider.pl list STOREID PATH
#
# What it says goes to standard output; the last line is JSON for the caller.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time);

use PVE::Storage;
use PVE::Tools;
use PVE::Storage::Custom::VzvaultPlugin;

use constant PLUGIN => 'PVE::Storage::Custom::VzvaultPlugin';

$| = 1;
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};

my ($command, $storeid, $path, @args) = map { untainted($_) } @ARGV;
my $scfg = { type => 'vzvault', path => $path, content => { backup => 1 } };
my %commands = (add => \&add, backup => \&backup, restore => \&restore, list => \&list);
my $run = $commands{ $command // '' } or die "usage: demo-provider.pl add|backup|restore|list STOREID PATH ...\n";
print JSON::PP->new->canonical->ascii->encode($run->(@args)), "\n";

# The hook that pvesm add runs.
sub add {
    PLUGIN->on_add_hook($storeid, $scfg);
    PLUGIN->activate_storage($storeid, $scfg);
    my ($total, $available) = PLUGIN->status($storeid, $scfg);
    return { total => $total, available => $available };
}

# vzdump: PVE/VZDump.pm, exec_backup and exec_backup_task; PVE/VZDump/QemuServer.pm, archive_external.
sub backup {
    my ($vmid, $config_file, @disks) = @_;

    my $volumes = {};
    for my $disk (@disks) {
        my ($device, $size, $socket) = split(/=/, $disk, 3);
        $volumes->{$device} = { size => $size, 'nbd-path' => $socket, 'bitmap-mode' => 'none', 'bitmap-name' => undef };
    }
    my $start = time();
    my $provider = provider();
    $provider->job_init(int($start));
    my $name = $provider->backup_init($vmid, 'qemu', int($start))->{'archive-name'};
    my $mechanism = $provider->backup_get_mechanism($vmid, 'qemu');
    print "backup $name, mechanism $mechanism\n";
    my $bitmaps = $provider->backup_vm_query_incremental($vmid, $volumes);
    print 'bitmaps in use: ', join(', ', sort keys $bitmaps->%*) || 'none', "\n";

    my $began = time();
    my $info = { 'bandwidth-limit' => 0, 'firewall-config' => "[OPTIONS]\n\nenable: 1\n" };
    my $ok = eval { $provider->backup_vm($vmid, read_file($config_file), $volumes, $info); 1 };
    my $error = $@;
    my $seconds = time() - $began;
    my $stats = $provider->backup_cleanup($vmid, 'qemu', $ok ? 1 : 0, $ok ? {} : { error => $error })->{stats};
    $provider->backup_handle_log_file($vmid, '/dev/null');
    $provider->job_cleanup();
    die $error if !$ok;

    my ($volume) = grep { $_->{volid} =~ m/:backup\/\Q$name\E\z/ } PLUGIN->list_volumes($storeid, $scfg, $vmid, ['backup'])->@*;
    die "$name is not listed\n" if !$volume;
    return { volname => "backup/$name", added => $stats->{'archive-size'}, seconds => $seconds };
}

# qmrestore: PVE/QemuServer.pm, restore_external_archive.
sub restore {
    my ($volname, $target) = @_;

    my $provider = provider();
    my ($mechanism) = $provider->restore_get_mechanism($volname);
    print "restore $volname, mechanism $mechanism\n";
    my $config = $provider->archive_get_guest_config($volname);
    my $firewall = $provider->archive_get_firewall_config($volname);
    my $began = time();
    my $devices = $provider->restore_vm_init($volname);
    my $ok = eval {
        for my $device (sort keys $devices->%*) {
            my $image = $provider->restore_vm_volume_init($volname, $device, {})->{'qemu-img-path'};
            print "$device: qemu-img convert $image\n";
            my @convert = qw(qemu-img convert -f raw -O raw);
            system(@convert, $image, untainted("$target/$device.raw")) == 0 or die "qemu-img failed\n";
            $provider->restore_vm_volume_cleanup($volname, $device, {});
        }
        1;
    };
    my $error = $@;
    $provider->restore_vm_cleanup($volname);
    die $error if !$ok;

    return { config => $config, firewall => $firewall, seconds => time() - $began };
}

sub list {
    my @volumes = PLUGIN->list_volumes($storeid, $scfg, undef, ['backup'])->@*;
    print "$_->{volid}  $_->{size} bytes\n" for @volumes;
    return { volumes => [map { $_->{volid} } @volumes] };
}

sub provider {
    return PLUGIN->new_backup_provider($scfg, $storeid, sub { my ($level, $line) = @_; print "$level: $line\n" });
}

sub read_file {
    my ($file) = @_;

    open(my $handle, '<:raw', $file) or die "cannot read $file: $!\n";
    local $/;
    return scalar(<$handle>);
}

# The arguments are our caller's own.
sub untainted {
    my ($text) = @_;

    my ($clean) = ($text // '') =~ m!\A([A-Za-z0-9/._=:+-]+)\z! or die "an argument is empty or holds odd characters\n";
    return $clean;
}
