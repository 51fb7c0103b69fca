#!/usr/bin/perl -T

# Containers go in as vzdump hands them over, and come back as a tar file, as a directory and in a
# mount, the same in everything; so does the guest's configuration.

use strict;
use warnings;

use Test::More;

use Meanwhile;
use Node;
use Tree;

require PVE::LXC::Config;

my $BASE = 100_000; # the host's id of an unprivileged container's root

my $root; # of the guest 101

# What vzdump leaves out by itself, what tar cannot take, and what pct restore leaves out.
my $NEVER = qr!\A(?:tmp/.+|var/tmp/.+|lost\+found|srv/socket)\z!s;
my $NOT_RESTORED = qr!$NEVER|\Adev/.+\z!s;

sub backups {
    return pvesm('list', 'vault', @_) =~ m/^(vault:backup\/\S+)/mg;
}

# A restored root. Its own time is not the container's: pct restore has tar skip what is there, and the
# directory itself is.
sub restored {
    my ($id) = @_;

    my $path = "/var/lib/target/images/$id/subvol-$id-disk-0.subvol";
    system('/usr/bin/touch', '-r', $root, $path);
    return $path;
}

# As vzdump puts it together.
sub guest_config {
    my ($id) = @_;

    my $config = PVE::LXC::Config->load_config($id);
    return PVE::LXC::Config::write_pct_config("/lxc/$id.conf", $config);
}

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
$root = container(101, $BASE, tags => 'a;b', nameserver => '192.0.2.1', swap => 64);
my $notes = "#Gr\xc3\xb6\xc3\x9fe%3A 5 %25\n#\n# blank\n";
spew('/etc/pve/lxc/101.conf', $notes . slurp('/etc/pve/lxc/101.conf'));
populate($root, $BASE);
my $firewall = "[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN ACCEPT -p tcp # gr\xc3\xbcn \xff\n\n\n";
spew('/etc/pve/firewall/101.fw', $firewall);
my @how = ('--storage', 'vault', '--mode', 'stop');

my ($output, $code) = vzdump(101, @how);
is($code, 0, 'vzdump of an unprivileged container') || diag(daemon_log());
like($output, qr/using backup mechanism 'directory'/, 'by its directory');
unlike($output, qr/^(?:WARN|ERROR):/m, 'without a warning');
my ($volid) = backups();
like($volid // '', qr!\Avault:backup/vzdump-lxc-101-[\d_-]+\.vzv\z!, 'is listed');
my $content = 'PVE::API2::Storage::Content';
my $info = api($content, 'info', volume => $volid);
cmp_ok($info->{size}, '>', length(words()), 'with the size of its data');
cmp_ok($info->{used}, '>', 0, 'and what was added');
is(scalar(pvesm('extractconfig', $volid)), guest_config(101) . "\n", 'its configuration is kept as it was');

my $new_id = 201;
for my $mechanism (qw(tar directory)) {
    is((pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism))[1], 0, "set to $mechanism");
    ($output, $code) = pct('restore', $new_id, $volid, '--rootfs', 'target:0', '--unprivileged', 1);
    is($code, 0, "pct restore by $mechanism") || diag(daemon_log());
    same_tree($root, $BASE, restored($new_id), $BASE, 'the tree is the same', $NOT_RESTORED);
    is(slurp("/etc/pve/firewall/$new_id.fw"), $firewall, 'so is the firewall configuration');
    my ($config, $was) = map { s/^rootfs: .*\n//mr } guest_config($new_id), guest_config(101);
    is($config, $was, 'and that of the guest');
    unlike(slurp('/proc/mounts'), qr!vzvault/mounts!, 'no mount is left behind');
    $new_id += 1;
}

subtest 'a mount' => sub {
    my $mount = '/mnt/backup';
    mkdir($mount);
    is((vzvault('mount', 'vault', 'lxc/101@latest', $mount))[1], 0, 'is made');
    same_tree($root, $BASE, "$mount/root", 0, 'shows the same tree, devices too', $NEVER);
    is(slurp("$mount/firewall.conf"), $firewall, 'and the firewall configuration');
    is(slurp("$mount/guest.conf"), guest_config(101), 'and that of the guest');
    system('/bin/umount', $mount) == 0 or die "umount failed\n";
    wait_until(10, sub { !process(qr!\A\S*vzvault-fuse !) });
};

# The comparison itself: it sees one difference of every kind.
my %CHANGES = (
    'a byte' => ['var/lib/sparse/odd size', 'printf X | dd of="$f" conv=notrunc status=none'],
    'a hole that is filled' =>
        ['var/lib/sparse/hole', 'dd if=/dev/zero of="$f" bs=4k count=1 conv=notrunc status=none'],
    'a mode' => ['srv/odd/=', 'chmod 7776 "$f"'],
    'an owner' => ['srv/fifo', 'chown -h 100001 "$f"'],
    'a nanosecond' => ['etc/passwd', 'touch -d "2020-02-02 02:02:02.123456788" "$f"'],
    'a time of a directory' => ['srv', 'touch -d "2019-09-09 09:09:09.999999998" "$f"'],
    'a time of a link' => ['etc/link', 'touch -h -d "2001-01-01 01:01:01" "$f"', 'srv/link too'],
    'an attribute' => ['srv/a b', 'setfattr -x user.empty "$f"'],
    'a capability' => ['etc/passwd', 'setcap -n 100000 cap_net_raw+ep "$f"'],
    "a capability's namespace" => ['etc/passwd', 'setcap -n 100001 cap_net_raw,cap_chown+ep "$f"'],
    'an ACL' => ['srv/a b', 'setfacl -n -m u:101000:rw "$f"'],
    'a default ACL' => ['srv/deep', 'setfacl -d -m u:100005:r "$f"'],
    'a link' => ['srv/empty', 'cp -a "$f" ../x && mv ../x "$f"', 'srv/empty too'],
    'a target' => ['srv/dangling', 'rm "$f" && ln -s other "$f"'],
    'a name' => ["srv/odd/caf\xe9", 'mv "$f" srv/odd/new', 'srv/odd/new'],
    'a type' => ['srv/none', 'rmdir "$f" && : > "$f"'],
    'a device' => ['dev/null', 'rm "$f" && mknod -m 666 "$f" c 1 4 && chown 100000:100006 "$f"'],
);
subtest 'another tree is not taken for the same' => sub {
    my ($original, $copy) = ('/var/tmp/original', '/var/tmp/copy');
    system('/bin/cp', '-a', $root, $original) == 0 or die "cp failed\n";
    unlink(map { "$original/var/lib/$_" } 'large', 'hard link', 'sparse/middle', 'sparse/comb');
    # The times of a file and its directory stay, unless the change is of a time.
    my $script = 'rm -rf "$2" && cp -a "$1" "$2" && cd "$2" && f=$3 && d=$(dirname "$f")'
        . ' && : > ../file && touch -h -r "$f" ../file && touch -r "$d" ../directory && %s'
        . ' && touch -r ../directory "$d"';
    for my $name (sort keys %CHANGES) {
        my ($path, $change, @also) = $CHANGES{$name}->@*;
        $change .= ' && touch -c -h -r ../file "$f"' if $change !~ m/touch/;
        my @command = ('/bin/sh', '-c', sprintf($script, $change), 'sh', $original, $copy, $path);
        system(@command) == 0 or die "$name: the change failed\n";
        different_trees($original, $copy, $BASE, [$path, @also], $name);
    }
};

# again, nearly unchanged
spew("$root/etc/motd", "new\n");
chown($BASE, $BASE, "$root/etc/motd");
($output, $code) = vzdump(101, @how);
is($code, 0, 'a second backup');
my $second = api($content, 'info', volume => (backups())[-1]);
cmp_ok($second->{used}, '<', $info->{used} / 10, 'adds next to nothing');

# privileged: in no namespace, and no process of its own
my $privileged = container(103, 0);
populate($privileged, 0);
($output, $code) = vzdump(103, @how);
is($code, 0, 'vzdump of a privileged container') || diag(daemon_log());
like($output, qr/can only be restored as unprivileged/, "with PVE's warning");
my ($of_privileged) = backups('--vmid', 103);
for my $mechanism (qw(tar directory)) {
    pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism);
    my @new = ('--rootfs', 'target:0', '--unprivileged', 1);
    ($output, $code) = pct('restore', $new_id, $of_privileged, @new);
    is($code, 0, "it is restored as unprivileged by $mechanism") || diag(daemon_log());
    same_tree($privileged, 0, restored($new_id), $BASE, 'with the same tree', $NOT_RESTORED);
    $new_id += 1;
}
($output, $code) = pct('restore', $new_id, $of_privileged, '--rootfs', 'target:0', '--unprivileged', 0);
isnt($code, 0, 'PVE restores it as privileged never');
like($output, qr/refusing to restore privileged container backup from external source/, 'and says so');
my ($verified, $verify_code) = vzvault('verify', 'vault');
is($verify_code, 0, 'the repository is sound') || diag($verified);

finish();
