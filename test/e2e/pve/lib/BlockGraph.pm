package BlockGraph;

# PVE's code that changes the disks of a running VM asks QEMU which node lies below which, and
# whether the machine is one of version 10 or later, whose drives are built of nodes that PVE names.
# Debian's QEMU answers neither: this module adds both to its answers, the first from QEMU's own
# graph. Nor has it the driver 'zeroinit', which only saves work: 'raw' takes its place. Loaded
# after PVEHarness into a process that runs qm.
#
# PVEHarness reads what lies below a drive from a file that it writes when it starts a VM. update()
# writes it anew, which is due after every change of disks.

use strict;
use warnings;

use JSON;
use PVE::QemuServer::Machine;
use PVE::QemuServer::Monitor;
use PVE::Tools;

my $MACHINE = 'pc-i440fx-10.0+pve1';
my $harness_q = \&PVEHarness::_q;

# Node name => [{ child, node-name }].
sub _children {
    my ($peer) = @_;

    my $graph = $harness_q->($peer, 'x-debug-query-block-graph');
    my %name = map { $_->{id} => $_->{name} } $graph->{nodes}->@*;
    my $children = {};
    for my $edge ($graph->{edges}->@*) {
        push $children->{ $name{ $edge->{parent} } }->@*,
            { child => $edge->{name}, 'node-name' => $name{ $edge->{child} } };
    }
    return $children;
}

# What PVEHarness calls for a command that QEMU itself answers.
sub _q {
    my ($peer, $execute, %args) = @_;

    $args{driver} = 'raw' if $execute eq 'blockdev-add' && $args{driver} eq 'zeroinit';
    my $answer = $harness_q->($peer, $execute, %args);
    my @nodes =
        $execute eq 'query-named-block-nodes' ? $answer->@*
        : $execute eq 'query-block' ? grep { $_ } map { $_->{inserted} } $answer->@*
        : ();
    my $children = @nodes ? _children($peer) : {};
    $_->{children} = $children->{ $_->{'node-name'} } // [] for @nodes;

    return $answer;
}

# The file of PVEHarness about this VM, as things are now. Not while a backup has put a filter in
# between.
sub update {
    my ($vmid) = @_;

    return if -e "/run/qemu-server/$vmid.harness-access.json";
    my $children = _children(PVE::QemuServer::Monitor::vm_qmp_peer($vmid));
    my $below = {};
    for my $drive (grep { m/\Adrive-[a-z]+\d+\z/ } keys $children->%*) {
        my ($file) = grep { $_->{child} eq 'file' } $children->{$drive}->@*;
        $below->{$drive} = { fmt => $file->{'node-name'}, throttle => "throttle-$drive" } if $file;
    }
    PVE::Tools::file_set_contents("/run/qemu-server/$vmid.harness-nodes.json", encode_json($below));
    return;
}

sub import {
    no warnings 'redefine'; ## no critic (ProhibitNoWarnings): that is what it is for
    *PVEHarness::_q = \&_q;
    *PVE::QemuServer::Machine::get_current_qemu_machine =
        sub { return wantarray ? ($MACHINE, 0) : $MACHINE };
    return;
}

1;
