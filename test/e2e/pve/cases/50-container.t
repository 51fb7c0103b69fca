#!/usr/bin/perl -T

# Containers go in as vzdump hands them over, and come back as a tar file and as a directory; one
# guest of a job that fails keeps no other from being backed up.

use strict;
use warnings;

use POSIX ();
use Test::More;

use Node;

my $MiB = 1024 * 1024;
my $BASE = 100_000; # the host's id of an unprivileged container's root
my $words = join('', map { pack('N', $_ * 2654435761 % 4294967296) } 1 .. 500_000);

# A small root filesystem with one of every odd kind. PVE wants ten members and an sbin.
sub populate {
    my ($root, $base) = @_;

    spew("$root/$_", "content of $_\n")
        for 'usr/sbin/init', 'etc/hostname', 'etc/passwd', 'tmp/left out', 'var/tmp/x/left out',
        'srv/skip me', 'srv/deep/skip me too', "srv/caf\xe9", "srv/new\nline", 'srv/a b';
    spew("$root/var/lib/large", $words);
    fill("$root/var/lib/sparse", 64 * $MiB, 5 * $MiB => $words, 60 * $MiB => 'end');
    my $long = join('/', map { $_ x 100 } 'a' .. 'f'); # beyond what a tar header holds
    spew("$root/srv/$long/file", 'deep');
    symlink('usr/sbin', "$root/sbin") or die "symlink: $!\n";
    symlink('/etc/hostname', "$root/etc/link") or die "symlink: $!\n";
    link("$root/var/lib/large", "$root/var/lib/hard link") or die "link: $!\n";
    POSIX::mkfifo("$root/srv/fifo", 0600) or die "mkfifo: $!\n";
    my $shell = <<'EOS';
cd "$1" && mkdir -m 700 -p lost+found dev && chown -R "$2:$2" . \
&& chown "$(($2 + 33)):$(($2 + 1000))" srv/deep \
&& setfacl -n -m "u:$(($2 + 1000)):r,m::r" 'srv/a b' && setfacl -d -m "g:$(($2 + 33)):rx" srv/deep \
&& setfattr -n user.comment -v 'a=b' 'srv/a b' && chmod 4755 usr/sbin/init && chmod 1777 tmp \
&& touch -d '2020-02-02 02:02:02.123456789' etc/passwd && touch -d '1969-01-01' etc/hostname \
&& chown 0:0 lost+found
EOS
    system('/bin/sh', '-c', $shell, 'sh', $root, $base) == 0 or die "cannot populate $root\n";
    return;
}

# The same tree without what is not backed up.
sub expected {
    my ($root) = @_;

    my $copy = "$root.expected";
    system('/bin/cp', '-a', $root, $copy) == 0 or die "cp failed\n";
    system('/bin/rm', '-rf', "$copy/tmp/left out", "$copy/var/tmp/x", "$copy/srv/skip me",
        "$copy/srv/deep/skip me too", "$copy/lost+found") == 0 or die "rm failed\n";
    for my $dir ('tmp', 'var/tmp', 'srv', 'srv/deep', '.') { # removing has changed their times
        my ($atime, $mtime) = (stat("$root/$dir"))[8, 9];
        utime($atime, $mtime, "$copy/$dir");
    }
    return $copy;
}

sub backups {
    return [pvesm('list', 'vault', @_) =~ m/^(vault:backup\/\S+)/mg];
}

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
my $root = container(101, $BASE);
populate($root, $BASE);
my $firewall = "[OPTIONS]\n\nenable: 1\n";
spew('/etc/pve/firewall/101.fw', $firewall);
my @how = ('--storage', 'vault', '--mode', 'stop', '--exclude-path', '/srv/skip*',
    '--exclude-path', 'skip me*');

my ($output, $code) = vzdump(101, @how);
is($code, 0, 'vzdump of an unprivileged container') || diag(daemon_log());
like($output, qr/using backup mechanism 'directory'/, 'by its directory');
unlike($output, qr/^(?:WARN|ERROR):/m, 'without a warning');
my ($volid) = backups()->@*;
like($volid // '', qr!\Avault:backup/vzdump-lxc-101-[\d_-]+\.vzv\z!, 'is listed');
my $content = 'PVE::API2::Storage::Content';
my $info = api($content, 'info', volume => $volid);
cmp_ok($info->{size}, '>', length($words), 'with the size of its data');
cmp_ok($info->{used}, '>', 0, 'and what was added');
like(pvesm('extractconfig', $volid), qr/^hostname: ct101$/m, 'its configuration can be shown');

my $expected = expected($root);
my $new_id = 201;
for my $mechanism (qw(tar directory)) {
    is((pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism))[1], 0, "set to $mechanism");
    ($output, $code) = pct('restore', $new_id, $volid, '--rootfs', 'target:0', '--unprivileged', 1);
    is($code, 0, "pct restore by $mechanism") || diag(daemon_log());
    my $restored = "/var/lib/target/images/$new_id/subvol-$new_id-disk-0.subvol";
    same_tree($expected, $BASE, $restored, $BASE, 'the tree is the same');
    my ($blocks) = (stat("$restored/var/lib/sparse"))[12];
    cmp_ok($blocks * 512, '<', 8 * $MiB, 'and holes are holes');
    is(slurp("/etc/pve/firewall/$new_id.fw"), $firewall, 'so is the firewall configuration');
    unlike(slurp('/proc/mounts'), qr!vzvault/mounts!, 'no mount is left behind');
    $new_id += 1;
}

# again, nearly unchanged
spew("$root/etc/motd", "new\n");
chown($BASE, $BASE, "$root/etc/motd");
($output, $code) = vzdump(101, @how);
is($code, 0, 'a second backup');
my $second = api($content, 'info', volume => backups()->[-1]);
cmp_ok($second->{used}, '<', $info->{used} / 10, 'adds next to nothing');

# privileged: in no namespace, and no process of its own
my $privileged = container(103, 0);
populate($privileged, 0);
($output, $code) = vzdump(103, @how);
is($code, 0, 'vzdump of a privileged container') || diag(daemon_log());
like($output, qr/can only be restored as unprivileged/, "with PVE's warning");
my ($privileged_volid) = backups('--vmid', 103)->@*;
($output, $code) =
    pct('restore', $new_id, $privileged_volid, '--rootfs', 'target:0', '--unprivileged', 1);
is($code, 0, 'it is restored as unprivileged') || diag(daemon_log());
same_tree(expected($privileged), 0, "/var/lib/target/images/$new_id/subvol-$new_id-disk-0.subvol",
    $BASE, 'with the same tree');

# one of three guests fails: what the container's root may not read
my $broken = container(104, $BASE);
populate($broken, $BASE);
chown(0, 0, "$broken/etc/passwd");
chmod(0600, "$broken/etc/passwd");
fill('/var/lib/vz/images/102/vm-102-disk-0.raw', 8 * $MiB, 0 => 'data');
vm(102, "memory: 128\nscsi0: local:102/vm-102-disk-0.raw,size=8M\nscsihw: virtio-scsi-single\n");
($output, $code) = vzdump(101, 102, 104, '--storage', 'vault', '--mode', 'stop',
    '--fleecing', 'enabled=1,storage=local');
isnt($code, 0, 'a job with a container that cannot be read fails');
one_line_error($output, 'E_ARCHIVE_SOURCE', 'with one line');
like($output, qr!tar: \./etc/passwd: Cannot open: Permission denied!, "and what tar said");
like($output, qr/^INFO: Finished Backup of VM $_/m, "guest $_ is backed up")
    || diag(daemon_log())
    for 101, 102;
is_deeply(backups('--vmid', 104), [], 'nothing is listed of the one that failed');

PVEHarness::stop_qemu(102);
finish();
