#!/usr/bin/perl -T
# Stands in for vzdump: one backup of one VM through the storage plugin and the backup provider, in a process of its own under taint
# mode, in the order of PVE/VZDump.pm and PVE/VZDump/QemuServer.pm. For test/support/model-vzdump.ts, which plays QEMU.
#
# The task (test/support/StandIn.pm):
#   {storeid, path, mechanism, vmid, startTime, qemuPid, config, firewall, bwlimit, devices: {DEVICE: SIZE}, directory, fault}
# It asks:
#   {"ask": "open", "modes": {DEVICE: MODE}}   answered {nbdPath, devices: [{device, size, action, dirty, bitmapName}]}
#   {"ask": "close", "success": 0|1}           answered {}
#   {"ask": "reached", "what": POINT}          answered {}: only where the fault is "stop-at-POINT"
# The last line is {"done": {error, volume, added}}.
#
# Faults: fail-after-commit, fail-after-success, fail-after-cleanup (the hook at the end), vanish-after-commit (no cleanup at all),
# nbdinfo-killed, regions-cut, nbdfuse-killed, no-count (QEMU does not say how much is dirty), stop-at-query, stop-at-vm,
# stop-at-committed.

use strict;
use warnings;

use Fcntl qw(O_RDWR O_DIRECT);
use IO::File;
use IPC::Open3 qw(open3);
use POSIX ();
use Time::HiRes qw(usleep);

BEGIN {
    $INC{$_} = __FILE__ for qw(PVE/QemuServer/Helpers.pm PVE/QemuServer/Monitor.pm);
}
use StandIn qw(ask read_task run_job say_line untainted);

my $task = read_task();
my $fault = $task->{fault} // '';
my $bitmap_info = [];
my $cleanup = { success => 0, handles => [], mounts => [], children => [] };

sub PVE::QemuServer::Helpers::vm_running_locally {
    my ($vmid) = @_;

    return $task->{qemuPid} || undef;
}

sub PVE::QemuServer::Monitor::mon_cmd {
    my ($vmid, $command) = @_;

    die "VM $vmid qmp command '$command' failed - not known\n"
        if $command ne 'query-pbs-bitmap-info' || $fault eq 'no-count';
    return $bitmap_info;
}

my %settings = defined($task->{mechanism}) ? ('vzvault-vm-mechanism' => $task->{mechanism}) : ();
my $guest = { settings => \%settings, archive => \&archive, clean_up => \&clean_up, at => \&at };
say_line({ done => run_job('qemu', $guest) });

# The hook script, and other ways to end late.
sub at {
    my ($point) = @_;

    die "the hook script failed\n" if $fault eq { archived => 'fail-after-success', cleaned => 'fail-after-cleanup' }->{$point};
    vanish() if $fault eq 'vanish-after-commit';
    return;
}

# PVE/VZDump/QemuServer.pm, archive_external.
sub archive {
    my ($provider) = @_;

    my $vmid = $task->{vmid};
    my $ok = eval {
        local @SIG{qw(INT TERM QUIT HUP PIPE)} = (sub { die "interrupted by signal\n" }) x 5;
        my $mechanism = $provider->backup_get_mechanism($vmid, 'qemu');
        my $devices = { map { $_ => { size => $task->{devices}->{$_} } } keys $task->{devices}->%* };
        my $modes = $provider->backup_vm_query_incremental($vmid, $devices);
        reached('query');
        $cleanup->{opened} = 1;
        my $access = ask({ ask => 'open', modes => $modes });
        $bitmap_info = [map {
            { drive => $_->{device}, action => $_->{action}, size => $_->{size}, dirty => $_->{dirty} }
        } $access->{devices}->@*];
        my $volumes = volumes($access, $mechanism);
        my $info = {};
        $info->{'bandwidth-limit'} = $task->{bwlimit} if $task->{bwlimit};
        $info->{'firewall-config'} = $task->{firewall} if defined($task->{firewall});
        reached('vm');
        $provider->backup_vm($vmid, $task->{config}, $volumes, $info);
        reached('committed');
        die "the power state could not be restored\n" if $fault eq 'fail-after-commit';
        1;
    };
    die $@ if !$ok;
    $cleanup->{success} = 1;

    return;
}

# backup_access_to_volume_info.
sub volumes {
    my ($access, $mechanism) = @_;

    my %status = (used => 'reuse', new => 'new', 'missing-recreated' => 'new');
    my $volumes = {};
    for my $disk ($access->{devices}->@*) {
        my ($device, $bitmap) = $disk->@{qw(device bitmapName)};
        my $volume = { size => $disk->{size}, 'bitmap-mode' => $status{ $disk->{action} } // 'none' };
        if ($mechanism eq 'nbd') {
            $volume->@{qw(nbd-path bitmap-name)} = ($access->{nbdPath}, $bitmap);
        } else {
            my $uri = "nbd+unix:///$device?socket=$access->{nbdPath}";
            $volume->{'next-dirty-region'} = defined($bitmap)
                ? dirty_regions($uri, $bitmap)
                : one_region($disk->{size});
            $volume->{'file-handle'} = virtual_file($uri, $device);
        }
        $volumes->{$device} = $volume;
    }

    return $volumes;
}

sub one_region {
    my ($size) = @_;

    my $done = 0;
    return sub { return $done++ ? () : (0, $size) };
}

# What nbdinfo prints, dirty lines only.
sub dirty_regions {
    my ($uri, $bitmap) = @_;

    my ($in, $out, $err) = map { IO::File->new() } 1 .. 3;
    my @command = map { untainted($_) } ('nbdinfo', $uri, "--map=qemu:dirty-bitmap:$bitmap");
    my $pid = open3($in, $out, $err, @command);
    push $cleanup->{children}->@*, $pid;
    if ($fault eq 'nbdinfo-killed') { kill('KILL', $pid) }
    my $told = 0;
    return sub {
        while (defined(my $line = <$out>)) {
            my ($offset, $length, $type) = $line =~ m/^\s*(\d+)\s+(\d+)\s+(\d+)/
                or die "unexpected output from nbdinfo - $line\n";
            next if ($type & 1) == 0;
            return if $fault eq 'regions-cut' && $told++;
            return ($offset, $length);
        }
        return;
    };
}

# An export as a file. Read past the cache: every block is read once, and what is not dirty cannot be read.
sub virtual_file {
    my ($uri, $device) = @_;

    my $mount = untainted("$task->{directory}/$device.mount");
    my $file = untainted("$mount/$device");
    my @command = ('nbdfuse', '--pidfile', "$mount.pid", $file, untainted($uri));
    mkdir($mount) or die "$mount: $!\n";
    push $cleanup->{mounts}->@*, $mount;
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        # Who reads our output waits for its end, and this may outlive us.
        open($_, '>', '/dev/null') or POSIX::_exit(1) for \*STDOUT, \*STDERR;
        eval { exec(@command) };
        POSIX::_exit(1);
    }
    push $cleanup->{children}->@*, $pid;
    for (my $waited_ms = 0; !-s "$mount.pid"; $waited_ms += 5) {
        die "timeout setting up virtual file '$file'\n" if $waited_ms > 5_000;
        usleep(5_000);
    }
    my $handle = IO::File->new($file, O_RDWR | O_DIRECT)
        or die "unable to open backup source '$file' - $!\n";
    push $cleanup->{handles}->@*, $handle;
    if ($fault eq 'nbdfuse-killed') { kill('KILL', $pid) }

    return $handle;
}

# QemuServer.pm, cleanup.
sub clean_up {
    ask({ ask => 'close', success => $cleanup->{success} }) if $cleanup->{opened};
    close($_) for $cleanup->{handles}->@*;
    for my $mount ($cleanup->{mounts}->@*) {
        system('fusermount3', '-q', '-z', '-u', $mount);
        unlink("$mount.pid");
    }
    kill('TERM', $_) for $cleanup->{children}->@*;
    waitpid($_, 0) for $cleanup->{children}->@*;
    rmdir($_) for $cleanup->{mounts}->@*;

    return;
}

# The job ends without a word to the provider.
sub vanish {
    clean_up();
    exit(0);
}

sub reached {
    my ($point) = @_;

    ask({ ask => 'reached', what => $point }) if $fault eq "stop-at-$point";
    return;
}
