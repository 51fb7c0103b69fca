package Leftovers;

# What may be left of a backup or a restore, and must not be.

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use Meanwhile;
use Node;

our @EXPORT = qw(nothing_left);

# One test: no mount, process, fleecing image, socket, temporary directory, session or lock is left,
# in QEMU, on the node, in the daemon and in the repository. What ends by itself gets time for it. Files
# that a daemon had begun when it was killed lie in the repository's tmp/, where they count as absent, and
# its sessions stay until the next collection: $killed says that there can be some.
sub nothing_left {
    my ($name, $killed) = @_;

    # Looked at once more, the daemon could just have accepted the connection that waited for its start.
    my @left;
    wait_until(15, sub {
        @left = grep { !$killed || !m!/vzvault/(?:tmp|sessions)/! } _left();
        return !@left;
    });
    return ok(!@left, "$name: nothing is left") || diag(join("\n", @left));
}

sub _left {
    return (_files(), _mounts(), _processes(), _descriptors(), _guests());
}

sub _files {
    my @globs = qw(
        /var/lib/*/images/*/*fleece* /run/qemu-server/*backup-access* /run/qemu-server/*harness-access*
        /var/tmp/vzdumptmp* /run/vzvault/mounts/* /run/vzvault/*.new /run/vzvault/*/*.new
        /run/vzvault/*/*/*.new
        /var/lib/vault*/vzvault/tmp/* /var/lib/vault*/vzvault/sessions/*
    );
    return map { glob($_) } @globs;
}

sub _mounts {
    return grep { m!^\S+ /run/(?:vzvault|qemu-server)! } split(/\n/, slurp('/proc/mounts'));
}

sub _processes {
    my @left;
    for my $file (glob('/proc/[0-9]*/cmdline')) {
        my $line = (eval { slurp($file) } // next) =~ tr/\0/ /r;
        push @left, $line if $line =~ m!^\S*(?:vzvault-fuse|nbdfuse|nbdinfo|nbdcopy|qmrestore)(?: |$)!;
        push @left, $line if $line =~ m!/bin/vzdump |\A\S*node \S+/cli\.js keep-session !;
    }
    return @left;
}

# What the daemon has open of a guest, and connections that it has with anybody.
sub _descriptors {
    my $pid = daemon_pid() // return;
    my @open = map { readlink($_) // () } glob("/proc/$pid/fd/*");
    my @left = grep { m!backup-access|/run/qemu-server! } @open;

    # /proc/net/unix: address, references, protocol, flags, type, state, inode, path
    my %flags = reverse slurp('/proc/net/unix') =~ m/^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+)/mg;
    for my $inode (map { m/\Asocket:\[(\d+)\]\z/ } @open) {
        my $flags = $flags{$inode} // next;
        next if $flags eq '00010000'; # listens
        my ($ends) = grep { m/ \Q$inode\E / } split(/\n/, `/usr/bin/ss -xpHn`);
        push @left, "connection $inode of the daemon: " . ($ends // 'gone meanwhile') =~ s/\s+/ /gr;
    }
    return @left;
}

# Of what PVE knows, and of what QEMU knows.
sub _guests {
    my @left;
    for my $file (glob('/etc/pve/qemu-server/*.conf')) {
        my ($vmid) = $file =~ m!/(\d+)\.conf\z!;
        my $config = slurp($file);
        push @left, "$vmid: $1" if $config =~ m/^(lock: .*|\[special:fleecing\])$/m;
        next if !PVE::QemuServer::Helpers::vm_running_locally($vmid);
        my $peer = PVE::QemuServer::Monitor::vm_qmp_peer($vmid);
        my $exports = PVEHarness::_q($peer, 'query-block-exports');
        push @left, "$vmid: export $_->{id}" for $exports->@*;
        for my $node (PVEHarness::_q($peer, 'query-named-block-nodes')->@*) {
            push @left, "$vmid: node $node->{'node-name'}"
                if $node->{'node-name'} =~ m/fleecing|^harness-/;
            push @left, map { "$vmid: bitmap $_->{name}" }
                grep { ($_->{name} // '') eq $PVEHarness::BG } ($node->{'dirty-bitmaps'} // [])->@*;
        }
    }
    return @left;
}

1;
