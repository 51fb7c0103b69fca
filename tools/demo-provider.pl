#!/usr/bin/perl -T
# Calls the storage plugin and the backup provider in the order in which Proxmox VE does, under taint mode as vzdump and
# qmrestore run. For tools/demo.ts.
#
#   demo-provider.pl add STOREID PATH
#   demo-provider.pl [OPTION ...] backup STOREID PATH VMID CONFIG_FILE DISK ...
#   demo-provider.pl restore STOREID PATH VOLNAME TARGET_DIRECTORY
#   demo-provider.pl list STOREID PATH
#
# DISK is DEVICE=SIZE=SOCKET, the NBD export DEVICE of a disk without a bitmap, or DEVICE=SIZE=SOCKET=MODE=BITMAP=DIRTY. BITMAP
# is the name under which the export offers the bitmap, DIRTY what QEMU counts in it, MODE what QEMU has: `reuse`, a bitmap
# that was there before, which is used where the provider asks for it; `new`, one that was made just now.
#
# Options of `backup`:
#   --mechanism nbd|file-handle   the storage's vzvault-vm-mechanism; file-handle needs the package libnbd-bin, as it does on a node
#   --qemu-pid PID                the process that stands for the guest's QEMU
#
# What it says goes to standard output; the last line is JSON for the caller.

use strict;
use warnings;

use Fcntl qw(O_DIRECT O_RDONLY O_RDWR);
use File::Temp ();
use Getopt::Long ();
use IO::File ();
use IPC::Open3 qw(open3);
use JSON::PP ();
use Time::HiRes qw(time);

use PVE::Storage;
use PVE::Tools;
use PVE::Storage::Custom::VzvaultPlugin;

use constant PLUGIN => 'PVE::Storage::Custom::VzvaultPlugin';

$| = 1;
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';
delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};

my %opts;
Getopt::Long::Configure('require_order');
Getopt::Long::GetOptions(\%opts, 'mechanism=s', 'qemu-pid=s') or die "unknown option\n";
my ($command, $storeid, $path, @args) = map { untainted($_) } @ARGV;
my $scfg = { type => 'vzvault', path => $path, content => { backup => 1 } };
$scfg->{'vzvault-vm-mechanism'} = $opts{mechanism} if $opts{mechanism};
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

    my @exports;
    for my $disk (@disks) {
        my %export = (mode => 'none');
        @export{qw(device size socket mode bitmap dirty)} = split(/=/, $disk);
        push @exports, { %export, mode => $export{mode} // 'none' };
    }
    stand_in_for_qemu(@exports);
    my $start = time();
    my $provider = provider();
    $provider->job_init(int($start));
    my $name = $provider->backup_init($vmid, 'qemu', int($start))->{'archive-name'};
    my $mechanism = $provider->backup_get_mechanism($vmid, 'qemu');
    print "backup $name, mechanism $mechanism\n";
    my $bitmaps = $provider->backup_vm_query_incremental($vmid, { map { $_->{device} => { size => $_->{size} } } @exports });
    print "bitmap of $_: $bitmaps->{$_}\n" for sort keys $bitmaps->%*;

    my $began = time();
    my $info = { 'bandwidth-limit' => 0, 'firewall-config' => "[OPTIONS]\n\nenable: 1\n" };
    my %volumes;
    my $ok = eval {
        for my $export (@exports) {
            # QEMU makes a bitmap anew where it is not asked to use the one that it has.
            $export->{mode} = 'new' if $export->{mode} eq 'reuse' && ($bitmaps->{ $export->{device} } // '') ne 'use';
            $volumes{ $export->{device} } = volume($export, $mechanism);
        }
        $provider->backup_vm($vmid, read_file($config_file), \%volumes, $info);
        1;
    };
    my $error = $@;
    my $seconds = time() - $began;
    $_->{release}->() for grep { $_->{release} } @exports;
    my $stats = $provider->backup_cleanup($vmid, 'qemu', $ok ? 1 : 0, $ok ? {} : { error => $error })->{stats};
    my $log = File::Temp->new();
    print {$log} "INFO: backup of $vmid\n";
    close($log) or die "cannot write a log: $!\n";
    $provider->backup_handle_log_file($vmid, "$log");
    $provider->job_cleanup();
    die $error if !$ok;

    my ($volume) = grep { $_->{volid} =~ m/:backup\/\Q$name\E\z/ } PLUGIN->list_volumes($storeid, $scfg, $vmid, ['backup'])->@*;
    die "$name is not listed\n" if !$volume;
    return { volname => "backup/$name", added => $stats->{'archive-size'}, seconds => $seconds };
}

# Answers for PVE::QemuServer what the provider asks about a VM that runs.
sub stand_in_for_qemu {
    my (@exports) = @_;

    no warnings 'once';
    *PVE::QemuServer::Helpers::vm_running_locally = sub { return $opts{'qemu-pid'} };
    *PVE::QemuServer::Monitor::mon_cmd = sub {
        return [map { { drive => $_->{device}, size => $_->{size}, dirty => $_->{dirty} // $_->{size} } } @exports];
    };
    return;
}

# PVE/VZDump/QemuServer.pm, backup_access_to_volume_info.
sub volume {
    my ($export, $mechanism) = @_;

    my $volume = { size => $export->{size}, 'bitmap-mode' => $export->{mode} };
    my $bitmap = $export->{mode} eq 'none' ? undef : $export->{bitmap};
    return { $volume->%*, 'nbd-path' => $export->{socket}, 'bitmap-name' => $bitmap } if $mechanism eq 'nbd';

    my ($handle, $next) = virtual_file($export, $bitmap);
    return { $volume->%*, 'file-handle' => $handle, 'next-dirty-region' => $next };
}

# PVE/VZDump/QemuServer.pm, virtual_file_backup_prepare: the export as a file by nbdfuse, its dirty regions by nbdinfo. What it
# leaves is taken down by $export->{release}.
sub virtual_file {
    my ($export, $bitmap) = @_;

    my $uri = "nbd+unix:///$export->{device}?socket=$export->{socket}";
    my $directory = untainted(File::Temp::tempdir());
    my ($file, $pid_file) = ("$directory/$export->{device}", "$directory.pid");
    my ($handle, $map, $nothing, @pids);
    $export->{release} = sub {
        close($_) for grep { $_ } $handle, $map;
        system('fusermount3', '-u', '-q', $directory);
        waitpid($_, 0) for @pids;
        unlink($pid_file);
        rmdir($directory);
    };
    push @pids, open3($nothing, '>&STDERR', undef, 'nbdfuse', '--pidfile', $pid_file, $file, $uri);
    for (1 .. 100) {
        last if -s $pid_file;
        select(undef, undef, undef, 0.05);
    }
    # Proxmox VE's exports can be written, for discards; those of a test need not.
    $handle = IO::File->new($file, O_RDWR | O_DIRECT) || IO::File->new($file, O_RDONLY | O_DIRECT)
        or die "cannot open $file: $!\n";
    my $is_done = 0;
    return ($handle, sub { return $is_done++ ? () : (0, $export->{size}) }) if !defined($bitmap);

    push @pids, open3($nothing, $map, undef, 'nbdinfo', $uri, "--map=qemu:dirty-bitmap:$bitmap");
    my $next = sub {
        while (my $line = <$map>) {
            my ($offset, $length, $type) = $line =~ m/\A\s*([0-9]+)\s+([0-9]+)\s+([0-9]+)/ or die "unexpected: $line";
            return ($offset, $length) if $type & 1;
        }
        return;
    };
    return ($handle, $next);
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
