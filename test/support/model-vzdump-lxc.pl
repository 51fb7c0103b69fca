#!/usr/bin/perl -T
# Stands in for vzdump: one backup of one container through the storage plugin and the backup provider, in a process of its own under
# taint mode, in the order of PVE/VZDump.pm and PVE/VZDump/LXC.pm (archive). For test/support/model-container.ts.
#
# The task (test/support/StandIn.pm): {storeid, path, vmid, startTime, directory, config, firewall, bwlimit, root, sources, excludes,
# idMap: [FIRST, COUNT] or null for a privileged container}. `root` is the directory with the container's files.

use strict;
use warnings;

use StandIn qw(read_task run_job say_line);
use UserNamespace qw(run_as_container_root);

my $task = read_task();

say_line({ done => run_job('lxc', { archive => \&archive }) });

sub archive {
    my ($provider) = @_;

    my ($vmid, $id_map) = $task->@{qw(vmid idMap)};
    my $mechanism = $provider->backup_get_mechanism($vmid, 'lxc');
    die "mechanism '$mechanism' is none of a container\n" if $mechanism ne 'directory';
    my $info = {
        directory => $task->{root},
        sources => $task->{sources},
        'backup-user-id' => $id_map ? $id_map->[0] : 0,
    };
    $info->{'firewall-config'} = $task->{firewall} if defined($task->{firewall});
    $info->{'bandwidth-limit'} = $task->{bwlimit} if $task->{bwlimit};

    local @SIG{qw(INT TERM QUIT HUP PIPE)} = (sub { die "interrupted by signal\n" }) x 5;
    $provider->backup_container_prepare($vmid, $info);
    my $backup = sub {
        return $provider->backup_container($vmid, $task->{config}, $task->{excludes}, $info);
    };
    if ($id_map) { run_as_container_root($id_map, $backup) }
    else { $backup->() }

    return;
}
