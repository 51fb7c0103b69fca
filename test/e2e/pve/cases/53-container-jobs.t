#!/usr/bin/perl -T

# Containers in jobs of several guests, and several jobs at once: one guest that fails keeps no other
# from being backed up, and no guest is backed up twice at the same time.

use strict;
use warnings;

use POSIX ();
use Test::More;

use Meanwhile;
use Node;
use Tree;

my $MiB = 1024 * 1024;
my $BASE = 100_000;

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
my %roots;
for my $vmid (101, 103, 104) {
    my $root = $roots{$vmid} = container($vmid, $BASE);
    spew("$root/data/$_", "$vmid $_ " . pack('N', $_ * 2654435761 % 4294967296) x (128 * 1024)) for 1 .. 16;
    spew("$root/etc/passwd", "root\n");
    mkdir("$root/sbin");
    system('/bin/chown', '-R', "$BASE:$BASE", $root) == 0 or die "chown failed\n";
}
fill('/var/lib/vz/images/102/vm-102-disk-0.raw', 8 * $MiB, 0 => 'data');
vm(102, "memory: 128\nscsi0: local:102/vm-102-disk-0.raw,size=8M\nscsihw: virtio-scsi-single\n");

my @guests = (101, 102, 103, 104);
my @how = ('--storage', 'vault', '--mode', 'stop', '--fleecing', 'enabled=1,storage=local');

# How many backups there are of each guest.
sub listed {
    my $count = { map { $_ => 0 } @guests };
    my $list = pvesm('list', 'vault');
    $count->{$_}++ for $list =~ m/^vault:backup\/vzdump-\w+-(\d+)-/mg;
    return $count;
}

my ($output, $code) = vzdump(@guests, @how);
is($code, 0, 'a job of a VM and three containers') || diag(daemon_log());
like($output, qr/^INFO: Finished Backup of VM $_/m, "guest $_ is backed up") for @guests;
is_deeply(listed(), { map { $_ => 1 } @guests }, 'all are listed');

# what the container's root may not read
my $secret = "$roots{103}/etc/passwd";
chown(0, 0, $secret);
chmod(0600, $secret);
($output, $code) = vzdump(@guests, @how);
isnt($code, 0, 'a job with a container that cannot be read fails');
one_line_error($output, 'E_ARCHIVE_SOURCE', 'with one line');
like($output, qr!tar: \./etc/passwd: Cannot open: Permission denied!, 'and what tar said');
like($output, qr/^ERROR: Backup of VM 103 failed - /m, 'of this guest');
like($output, qr/^INFO: Finished Backup of VM $_/m, "guest $_ is backed up") || diag(daemon_log())
    for 101, 102, 104;
is_deeply(listed(), { 101 => 2, 102 => 2, 103 => 1, 104 => 2 }, 'nothing is listed of the one that failed');
chown($BASE, $BASE, $secret);
chmod(0644, $secret);

# Runs a second vzdump while the tar of a first one that reads 101 is held, with PVE's locks taken away
# that keep them apart.
sub second_backup {
    my ($vmid) = @_;

    my $said = '/var/tmp/said';
    unlink($said);
    my $tar_runs = sub { process(qr/\Atar -cf - /) };
    my $second = once($tar_runs, sub {
        my ($tar) = $tar_runs->() =~ m/\A(\d+)\z/;
        kill('STOP', $tar) or die "the first has ended\n";
        unlink('/run/vzdump.lock');
        pct('unlock', $vmid);
        my @result = vzdump($vmid, @how);
        kill('CONT', $tar) or die "the first has ended\n";
        spew($said, "$result[0]\nexit $result[1]\n");
    });
    my @result = vzdump(101, @how, '--bwlimit', '2048');
    waitpid($second, 0);
    is($result[1], 0, 'the first backup is not disturbed') || diag(daemon_log());
    return slurp($said);
}

like(second_backup(104), qr/^exit 0$/m, 'another container at the same time');
is_deeply(listed(), { 101 => 3, 102 => 2, 103 => 1, 104 => 3 }, 'both are listed');
my $text = second_backup(101);
like($text, qr/^ERROR: Backup of VM 101 failed - [^\n]*lxc\/101[^\n]*\(E_GUEST_BUSY: /m,
    'the same container at the same time is refused');
one_line_error($text, 'E_GUEST_BUSY', 'with one line');
is_deeply(listed(), { 101 => 4, 102 => 2, 103 => 1, 104 => 3 }, 'only the first is listed');

my $id = 201;
my %last = map { m/-lxc-(\d+)-/ => $_ } sort(pvesm('list', 'vault') =~ m/^(vault:backup\/vzdump-lxc-\S+)/mg);
for my $vmid (sort keys %last) {
    my $volid = $last{$vmid};
    ($output, $code) = pct('restore', $id, $volid, '--unprivileged', 1, '--rootfs', 'target:0');
    is($code, 0, "$volid can be restored") || diag(daemon_log());
    my $restored = "/var/lib/target/images/$id/subvol-$id-disk-0.subvol";
    system('/usr/bin/touch', '-r', $roots{$vmid}, $restored);
    same_tree($roots{$vmid}, $BASE, $restored, $BASE, 'and holds what the container does');
    $id += 1;
}

# Device nodes outside dev, which nobody can make in a user namespace: PVE has a switch for that.
system('/bin/mknod', "$roots{104}/data/null", 'c', 1, 3) == 0 or die "mknod failed\n";
chown($BASE, $BASE, "$roots{104}/data/null");
($output, $code) = vzdump(104, @how);
is($code, 0, 'a device outside dev is backed up');
my ($volid) = reverse(sort(pvesm('list', 'vault') =~ m/^(vault:backup\/vzdump-lxc-104-\S+)/mg));
my @new = ($id, $volid, '--unprivileged', 1, '--rootfs', 'target:0');
($output, $code) = pct('restore', @new);
isnt($code, 0, 'restoring it fails');
like($output, qr!tar: \./data/null: Cannot mknod: Operation not permitted!, 'as tar says');
($output, $code) = pct('restore', @new, '--ignore-unpack-errors', 1);
is($code, 0, 'without it, the rest can be restored');
my $restored = "/var/lib/target/images/$id/subvol-$id-disk-0.subvol";
system('/usr/bin/touch', '-r', $roots{104}, $restored);
same_tree($roots{104}, $BASE, $restored, $BASE, 'and is', qr!\Adata/null\z!);

my ($verified, $verify_code) = vzvault('verify', 'vault');
is($verify_code, 0, 'the repository is sound') || diag($verified);
PVEHarness::stop_qemu(102);
finish();
