package PVE::Vzvault::Incremental;

# What PVE and its QEMU know of the changes in a VM's disks: which process QEMU is, how much its
# bitmaps mark, and, with the mechanism file-handle, which regions. All of it is handed on; what it
# is worth, the daemon decides.
#
# PVE's modules for VMs are never loaded from here: who calls the provider for a VM has them loaded,
# and a module that fails to load would take the storage with it.

use strict;
use warnings;

use PVE::Vzvault::Error qw(is_interruption raise);
use PVE::Vzvault::Schema;

# The pid of the guest's QEMU, undef where it is not known.
sub qemu_pid {
    my ($vmid) = @_;

    my $running = defined(&PVE::QemuServer::Helpers::vm_running_locally)
        && \&PVE::QemuServer::Helpers::vm_running_locally;
    my $pid = eval { $running && $running->($vmid) };
    my $error = $@;
    die $error if is_interruption($error);

    return ($pid // '') =~ m/\A([1-9][0-9]{0,9})\z/ ? $1 : undef;
}

# PVE's volumes as backup.vm tells the daemon of them, ordered by device. QEMU is asked only where a
# bitmap is used.
sub disks {
    my ($vmid, $volumes, $log) = @_;

    my @devices = sort keys $volumes->%*;
    my @reused = grep { ($volumes->{$_}->{'bitmap-mode'} // '') eq 'reuse' } @devices;
    my $counted = @reused ? _dirty_bytes($vmid, $log) : {};
    my %dirty_bytes = map { $_ => $counted->{$_} } @reused;

    return [
        map {
            {
                device => $_,
                sizeBytes => $volumes->{$_}->{size},
                bitmapMode => $volumes->{$_}->{'bitmap-mode'},
                dirtyBytes => $dirty_bytes{$_},
                nbdPath => $volumes->{$_}->{'nbd-path'},
                bitmapName => $volumes->{$_}->{'bitmap-name'},
            }
        } @devices
    ];
}

# { device => bytes } that QEMU counts as dirty since its bitmaps were last cleared. Where QEMU does
# not say, the map is empty, and the log has a warning.
sub _dirty_bytes {
    my ($vmid, $log) = @_;

    my $bitmaps = eval {
        die "PVE::QemuServer::Monitor is not loaded\n"
            if !defined(&PVE::QemuServer::Monitor::mon_cmd);
        PVE::QemuServer::Monitor::mon_cmd($vmid, 'query-pbs-bitmap-info');
    };
    my $error = $@;
    if ($error) {
        die $error if is_interruption($error);
        my $why = PVE::Vzvault::Error::line($error) =~ s/ +\z//r;
        $log->('warn', "cannot learn how much changed on the disks of $vmid: $why");
    }

    my %dirty;
    for my $bitmap (ref($bitmaps) eq 'ARRAY' ? $bitmaps->@* : ()) {
        next if !defined($bitmap->{drive});
        my ($bytes) = ($bitmap->{dirty} // '') =~ m/\A([0-9]{1,15})\z/;
        $dirty{ $bitmap->{drive} } = $bytes;
    }

    return \%dirty;
}

# With the mechanism file-handle: what the call of backup.vm has besides, the handles in the order
# of disks(), and the handler by which the daemon asks for the dirty regions. Else nothing.
sub file_handles {
    my ($vmid, $volumes) = @_;

    my @devices = sort keys $volumes->%*;
    my @handles = grep { $_ } map { $volumes->{$_}->{'file-handle'} } @devices;
    return () if !@handles;
    raise('E_ARGUMENT_INVALID', "not every disk of $vmid came with a file handle")
        if @handles != @devices;

    my %handlers = ('backup.nextDirtyRegions' => region_handler($volumes));
    return (fds => \@handles, handlers => \%handlers);
}

# The handler of backup.nextDirtyRegions: asks the functions that PVE gave with its volumes, a batch
# at a time (pve-storage BackupProvider/Plugin/Base.pm, backup_vm). They read a pipe, so a function
# that failed once is not asked again: it would go on behind what was lost.
sub region_handler {
    my ($volumes) = @_;

    my (%next, %failure, %is_done);
    for my $device (keys $volumes->%*) {
        my $function = $volumes->{$device}->{'next-dirty-region'};
        $next{$device} = $function if ref($function) eq 'CODE';
    }

    return sub {
        my ($params) = @_;

        my $device = $params->{device};
        my $function = $next{$device}
            // raise('E_SOURCE_BITMAP', "Proxmox VE lists no dirty regions of $device");
        my @regions;
        my $ok = eval {
            die $failure{$device} if $failure{$device};
            while (!$is_done{$device} && @regions < PVE::Vzvault::Schema::MAX_DIRTY_REGIONS) {
                my @region = $function->();
                if (defined($region[0])) {
                    push @regions, _checked(@region);
                } else {
                    $is_done{$device} = 1;
                }
            }
            1;
        };
        if (!$ok) {
            my $error = $@;
            die $error if is_interruption($error);
            $failure{$device} = $error;
            my $why = PVE::Vzvault::Error::line($error) =~ s/ +\z//r;
            raise('E_SOURCE_BITMAP', "listing the dirty regions of $device: $why");
        }

        return { regions => \@regions, done => $is_done{$device} };
    };
}

sub _checked {
    my ($offset, $length) = @_;

    my @clean = join(' ', $offset, $length // '') =~ m/\A([0-9]{1,15}) ([1-9][0-9]{0,14})\z/
        or die "'$offset', '" . ($length // '') . "' is not a region\n";
    return [@clean];
}

1;
