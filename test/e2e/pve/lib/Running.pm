package Running;

# Containers that run: by Debian's lxc and without PVE's hooks, a process that sleeps, in namespaces
# and with a freezer, which is all that vzdump asks of one.

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(make_path);
use Test::More;

use Node;

our @EXPORT = qw(install_sleep run_container stop_container);

my $SLEEP = '/usr/bin/sleep';

# What run_container() starts, and the libraries that it wants.
sub install_sleep {
    my ($root) = @_;

    my @files = ($SLEEP, `/usr/bin/ldd $SLEEP` =~ m!(/\S+)!g);
    for my $file (@files) {
        my ($dir, $path) = $file =~ m!\A((.*)/[^/]+)\z! ? ($2, $1) : die "odd file: $file\n";
        make_path("$root$dir");
        system('/bin/cp', '-L', $path, "$root$path") == 0 or die "cp failed\n";
    }
    return;
}

# Where PVE would have it mount the root of a container.
sub root_of {
    my ($vmid) = @_;

    my $root = "/var/lib/lxc/$vmid/rootfs";
    make_path($root);
    return $root;
}

# Runs the container whose root is mounted at root_of(); $base is the host's id of its root.
sub run_container {
    my ($vmid, $base) = @_;

    # No controller but the one that PVE uses: others would have to be shared with the host.
    spew('/etc/lxc/lxc.conf', "lxc.cgroup.use = freezer\n");
    spew("/var/lib/lxc/$vmid/config", <<"EOS");
lxc.rootfs.path = dir:/var/lib/lxc/$vmid/rootfs
lxc.uts.name = ct$vmid
lxc.idmap = u 0 $base 65536
lxc.idmap = g 0 $base 65536
lxc.net.0.type = empty
lxc.autodev = 0
lxc.init.cmd = $SLEEP 600
EOS
    return is(system('/usr/bin/lxc-start', '-n', $vmid), 0, "the container $vmid runs");
}

sub stop_container {
    my ($vmid) = @_;

    system('/usr/bin/lxc-stop', '-k', '-n', $vmid);
    rmdir($_) for map { m/(.+)/ } glob('/sys/fs/cgroup/{freezer,unified}/lxc.pivot');
    return;
}

1;
