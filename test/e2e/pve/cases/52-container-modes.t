#!/usr/bin/perl -T

# A container that runs, in the modes snapshot (of a Btrfs storage) and suspend, with a mount point that
# is another file system.

use strict;
use warnings;

use Test::More;

use Mounted;
use Node;
use Running;
use Tree;

my $BASE = 100_000;
my $NEVER = qr!\A(?:tmp/.+|var/tmp/.+|lost\+found|srv/socket|dev/.+)\z!s;

storage_cfg("btrfs: snapshots\n\tpath /var/lib/snapshots\n\tcontent images,rootdir\n",
    "dir: stock\n\tpath /var/lib/stock\n\tcontent backup\n");
fill('/var/lib/btrfs.img', 512 * 1024 * 1024);
mkdir('/var/lib/snapshots');
my $btrfs = 'cd /var/lib && mkfs.btrfs -q btrfs.img && mount -o loop btrfs.img snapshots';
system('/bin/sh', '-c', $btrfs) == 0 or die "no Btrfs\n";
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');

my @fill = (
    sub {
        install_sleep($_[0]);
        mkdir("$_[0]/$_") for 'mnt', 'mnt/data';
        populate($_[0], $BASE);
    },
    sub {
        spew("$_[0]/words", words());
        spew("$_[0]/a/$_", "content of $_\n") for 'left out', 'file';
        link("$_[0]/words", "$_[0]/a/words") or die "link: $!\n";
        system('/bin/chown', '-R', "$BASE:$BASE", "$_[0]/a") == 0 or die "chown failed\n";
    },
);
my $root = Running::root_of(101);
my @at = ('', '/mnt/data');
for my $disk (0, 1) {
    my $volid = "snapshots:101/vm-101-disk-$disk.raw";
    is((pvesm('alloc', 'snapshots', 101, "vm-101-disk-$disk.raw", '64M'))[1], 0, "a volume $disk");
    my ($path) = PVE::Storage::path(PVE::Storage::config(), $volid) =~ m/\A(.+)\z/;
    image($path, 64, $BASE, $fill[$disk]);
    system('/bin/mount', '-o', 'loop', $path, "$root$at[$disk]") == 0 or die "mount failed\n";
}
container(101, $BASE, rootfs => 'snapshots:101/vm-101-disk-0.raw,size=64M',
    mp0 => 'snapshots:101/vm-101-disk-1.raw,mp=/mnt/data,size=64M,backup=1');
run_container(101, $BASE);

sub backup {
    my ($storage, $mode) = @_;

    my ($output, $code) = vzdump(101, '--storage', $storage, '--mode', $mode, '--compress', 0,
        '--exclude-path', '/mnt/data/a/left*');
    is($code, 0, "$mode: vzdump to $storage") || diag(daemon_log());
    like($output, qr/^INFO: status = running$/m, "$mode: of a container that runs");
    like($output, qr/^INFO: backup mode: $mode$/m, "$mode: in this mode");
    my ($volid) = reverse(pvesm('list', $storage) =~ m/^($storage:\S+)/mg);
    return $volid;
}

my $id = 201;

# Restores it: where the root is, and where the mount point.
sub restore {
    my ($volid) = @_;

    my ($output, $code) = pct('restore', $id, $volid, '--unprivileged', 1, '--rootfs', 'target:0',
        '--mp0', 'target:0,mp=/mnt/data');
    is($code, 0, "$volid is restored") || diag(daemon_log());
    my @paths = map { "/var/lib/target/images/$id/subvol-$id-disk-$_.subvol" } 0, 1;
    $id += 1;
    # pct restore has tar skip directories that are there, which it has just made.
    for my $dir ('.', 'mnt', 'mnt/data') {
        system('/usr/bin/touch', '-r', "$root/$dir", "$paths[0]/$dir");
    }
    system('/usr/bin/touch', '-r', "$root/mnt/data", $paths[1]);
    return @paths;
}

sub both_ways {
    my ($volid, $check) = @_;

    for my $mechanism (qw(tar directory)) {
        is((pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism))[1], 0, "set to $mechanism");
        $check->($mechanism, restore($volid));
    }
    return;
}

my $snapshot = backup('vault', 'snapshot');
both_ways($snapshot, sub {
    my ($mechanism, $rootfs, $data) = @_;
    same_tree($root, $BASE, $rootfs, $BASE, "snapshot, $mechanism: the same root", qr!$NEVER|\Amnt/data/!);
    same_tree("$root/mnt/data", $BASE, $data, $BASE, "snapshot, $mechanism: and mount point",
        qr!\A(?:a/left out|lost\+found)\z!);
});

# In this mode rsync makes a copy, with holes of its own.
my @stock = restore(backup('stock', 'suspend'));
my $suspend = backup('vault', 'suspend');
both_ways($suspend, sub {
    my ($mechanism, @restored) = @_;
    # vzdump puts files of its own into the copy, which are no files of the container.
    ok(!-e "$restored[0]/etc/vzdump", "suspend, $mechanism: vzdump's own files are not there");
    system('/bin/rm', '-rf', "$stock[0]/etc/vzdump");
    system('/usr/bin/touch', '-r', "$root/etc", "$_/etc") for $stock[0], $restored[0];
    same_tree($stock[$_], $BASE, $restored[$_], $BASE, "suspend, $mechanism: disk $_ is what vzdump's own is")
        for 0, 1;
});
is_deeply([glob('/var/tmp/vzdumptmp*')], [], 'no copy is left');
unlike(slurp('/etc/pve/lxc/101.conf'), qr/\[vzdump\]|^lock:/m, 'no snapshot and no lock is left');
unlike(slurp('/proc/mounts'), qr!vzvault/mounts|vzsnap0!, 'no mount is left');

stop_container(101);
system('/bin/umount', "$root$_") for reverse @at;
system('/bin/umount', '/var/lib/snapshots');
finish();
