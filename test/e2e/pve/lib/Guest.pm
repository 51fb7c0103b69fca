package Guest;

# What happens to a VM other than through PVE's tools: it writes, and its memory is saved and comes
# back in another process of QEMU.

use strict;
use warnings;

use Exporter qw(import);

use Meanwhile;
use Node;

our @EXPORT = qw(bitmap_count guest_writes guest_writes_noise qemu_pid resume_from save_to);

my $writes = 0;

# Writes another pattern than ever before. Offset and length are multiples of 512.
sub guest_writes {
    my ($slot, $offset, $length, $vmid) = @_;

    $writes = $writes % 255 + 1;
    return PVEHarness::guest_write($vmid // 100, $slot, $writes, $offset, $length);
}

# The same with bytes that nothing can compress. At most 32 MiB.
sub guest_writes_noise {
    my ($slot, $offset, $length) = @_;

    my $file = '/var/tmp/noise';
    open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
    read($random, my $bytes, $length) == $length or die "urandom: $!\n";
    spew($file, $bytes);
    my $line = _qmp(100, 'human-monitor-command',
        'command-line' => "qemu-io -d $slot \"write -s $file $offset $length\"");
    die "guest_writes_noise: $line\n" if $line =~ m/failed|error/i;
    return;
}

sub qemu_pid {
    my ($vmid) = @_;

    my ($pid) = slurp('/run/qemu-server/' . ($vmid // 100) . '.pid') =~ m/(\d+)/;
    return $pid;
}

sub _qmp {
    my ($vmid, $execute, %arguments) = @_;

    return PVEHarness::_q(PVE::QemuServer::Monitor::vm_qmp_peer($vmid), $execute, %arguments);
}

# Bytes that a storage's bitmap of a drive marks; undef where there is no such bitmap.
sub bitmap_count {
    my ($vmid, $storeid) = @_;

    for my $node (_qmp($vmid, 'query-named-block-nodes')->@*) {
        for my $bitmap (($node->{'dirty-bitmaps'} // [])->@*) {
            return $bitmap->{count} if ($bitmap->{name} // '') eq "snapshot-access:$storeid";
        }
    }
    return;
}

my @bitmaps = (capabilities => [{ capability => 'dirty-bitmaps', state => JSON::true() }]);

# Saves the memory of a VM and its bitmaps to a file, as a snapshot with RAM does, and ends QEMU.
# Returns what resume_from() wants.
sub save_to {
    my ($vmid, $file) = @_;

    my @command = map { m/\A(.*)\z/s } split(/\0/, slurp('/proc/' . qemu_pid($vmid) . '/cmdline'));
    _qmp($vmid, 'stop');
    _qmp($vmid, 'migrate-set-capabilities', @bitmaps);
    _qmp($vmid, 'migrate', uri => "exec:cat > $file");
    wait_until(30, sub { (_qmp($vmid, 'query-migrate')->{status} // '') =~ m/^(?:completed|failed)$/ });
    my $status = _qmp($vmid, 'query-migrate')->{status};
    die "saving the memory: $status\n" if $status ne 'completed';
    PVEHarness::stop_qemu($vmid);
    return { vmid => $vmid, file => $file, command => \@command };
}

# Starts a VM from what save_to() saved, as a rollback does.
sub resume_from {
    my ($saved) = @_;

    my ($vmid, $file) = $saved->@{qw(vmid file)};
    system($saved->{command}->@*, '-S', '-incoming', 'defer') == 0 or die "cannot start QEMU\n";
    wait_until(5, sub { -S "/var/run/qemu-server/$vmid.qmp" });
    _qmp($vmid, 'migrate-set-capabilities', @bitmaps);
    _qmp($vmid, 'migrate-incoming', uri => "exec:cat $file");
    wait_until(30, sub { (_qmp($vmid, 'query-migrate')->{status} // '') eq 'completed' })
        or die "the memory does not come back\n";
    _qmp($vmid, 'cont');
    return;
}

1;
