#!/usr/bin/perl -T

# What is left out of a container's backup: by patterns of every kind, mount points that are not
# backed up, and other file systems. vzdump's own archives tell what is right: both backups are
# restored, and the trees are the same.

use strict;
use warnings;

use Test::More;

use Mounted;
use Node;
use Tree;

my $BASE = 100_000;

my @FILES = (
    'usr/sbin/init', 'etc/hostname', 'srv/skip', 'srv/skipped/x', 'srv/deep/srv/skip', 'srv/keep',
    'opt/skip me', 'opt/a/skip me too', 'opt/do not skip me', 'opt/with space/x', 'opt/with space/y z',
    'var/cache/a/b/old', 'var/cache/old', 'var/cache/a/older', 'home/a/node_modules/x/y', 'node_modules',
    "srv/caf\xe9", "srv/caf\xe9 au lait", 'srv/cafe', "srv/gr\xc3\xb6\xc3\x9fe", 'srv/groesse',
    'srv/trailing/x', 'srv/trailing slash', 'home/a/lost+found/x', 'home/lost+found2', 'srv/[ab]', 'srv/a',
    'srv/b', 'srv/c', 'srv/*', 'srv/star', 'srv/back\\slash', 'srv/q1x', 'srv/q22x', '.hidden', 'srv/.hidden',
    "srv/new\nline", "srv/new", 'tmp/x', 'tmp/.x', 'var/tmp/x', 'var/run/a.pid', 'var/run/b', 'etc/tmp/x',
    'mnt/data/under', 'dev/file',
);
my @PATTERNS = (
    '/srv/skip*', 'skip me*', '/opt/with space/*', '/var/cache/**/old', '**/node_modules',
    "/srv/gr\x{f6}\x{df}e", '/srv/trailing/', '/srv/[ab]', '/srv/\\*', '/srv/q?x', '/.hidden',
    '/mnt/data/not this', 'nor this', '',
);

sub restore {
    my ($id, $volid, @more) = @_;

    my ($output, $code) = pct('restore', $id, $volid, '--unprivileged', 1, @more);
    is($code, 0, "$volid is restored") || diag(daemon_log());
    return "/var/lib/target/images/$id";
}

storage_cfg("dir: stock\n\tpath /var/lib/stock\n\tcontent backup\n");
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
my $data = 'local:101/vm-101-disk-1.raw,mp=/mnt/data,size=64M';
my $root = container(101, $BASE,
    mp0 => "$data,backup=1",
    mp1 => 'local:101/vm-101-disk-2.raw,mp=/mnt/not-backed-up,size=16M',
    mp2 => '/var/lib/bound,mp=/mnt/bound');
spew("$root/$_", "content of $_\n") for @FILES;
symlink('usr/sbin', "$root/sbin");
mkdir("$root/$_") for 'mnt/not-backed-up', 'mnt/bound', 'lost+found';
spew('/var/lib/bound/file', 'of the host');
my $chown = sub { system('/bin/chown', '-R', "$BASE:$BASE", $_[0]) == 0 or die "chown failed\n" };
$chown->($root);
chown(0, 0, "$root/lost+found");
chmod(0700, "$root/lost+found");
image('/var/lib/vz/images/101/vm-101-disk-1.raw', 64, $BASE, sub {
    spew("$_[0]/$_", "data of $_\n") for 'file', 'not this', 'a/nor this', 'a/this', 'skip me', 'srv/skip';
    spew("$_[0]/words", words());
    link("$_[0]/words", "$_[0]/a/words");
    chown($BASE, $BASE, map { "$_[0]/$_" } 'a', 'srv', 'words', 'file', 'a/this', 'srv/skip');
});
image('/var/lib/vz/images/101/vm-101-disk-2.raw', 16, $BASE, sub { spew("$_[0]/file", 'lost') });

# Bytes that are no text: PVE decodes the command line.
spew('/etc/vzdump.conf', "exclude-path: \"/srv/caf\xe9*\"\n");
my @how = ('--mode', 'stop', '--compress', '0', map { ('--exclude-path', $_) } @PATTERNS);
my ($output, $code) = vzdump(101, '--storage', 'stock', @how);
is($code, 0, "vzdump's own archive");
my ($stock) = pvesm('list', 'stock') =~ m/^(stock:\S+)/m;
($output, $code) = vzdump(101, '--storage', 'vault', @how);
is($code, 0, 'and ours') || diag(daemon_log());
like($output, qr/^INFO: including mount point mp0 \('\/mnt\/data'\) in backup$/m, 'with a mount point');
like($output, qr/^INFO: excluding volume mount point mp1 /m, 'without another');
like($output, qr/^INFO: excluding bind mount point mp2 /m, 'and without the bound one');
my @warnings = $output =~ m/^WARN: (.*)$/mg;
is_deeply(\@warnings, ["tar does not match exclusion with a trailing slash '/srv/trailing/'"],
    'a pattern that tar does not match is the only warning');
my ($ours) = pvesm('list', 'vault') =~ m/^(vault:\S+)/m;

my @into = ('--rootfs', 'target:0', '--mp0', 'target:0,mp=/mnt/data,backup=1');
my $expected = restore(201, $stock, @into);
# In its own archives vzdump puts files of its own. And where patterns of bytes and of characters come
# together it makes others of the bytes, as Perl joins them to one command.
my $tidy = 'cd "$1" && rm -r etc/vzdump srv/caf? srv/caf?" au lait" && touch -r "$2/etc" etc'
    . ' && touch -r "$2/srv" srv';
$tidy =~ s/\?/\xe9/g;
system('/bin/sh', '-c', $tidy, 'sh', "$expected/subvol-201-disk-0.subvol", $root) == 0
    or die "vzdump's own archive holds something else\n";
my $id = 202;
for my $mechanism (qw(tar directory)) {
    is((pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism))[1], 0, "set to $mechanism");
    my $restored = restore($id, $ours, @into);
    for my $disk (0, 1) {
        my ($was, $is) = ("$expected/subvol-201-disk-$disk.subvol", "$restored/subvol-$id-disk-$disk.subvol");
        # pct restore has tar skip directories that are there, which it has just made.
        system('/usr/bin/touch', '-r', "$was/$_", "$is/$_") for grep { -d "$is/$_" } '.', 'mnt', 'mnt/data';
        same_tree($was, $BASE, $is, $BASE, "volume $disk is what vzdump's own is");
    }
    $id += 1;
}

# That both leave everything out would be the same too.
my $restored = '/var/lib/target/images/202/subvol-202-disk-0.subvol';
my @there = map { s!\A\Q$restored/!!r } grep { -f $_ }
    map { glob("\Q$restored\E/$_") } 'srv/*', 'srv/.h*', 'opt/*', 'opt/*/*';
my @kept = ('srv/cafe', 'srv/keep', 'srv/groesse', 'srv/trailing slash', 'srv/c', 'srv/star', 'srv/[ab]',
    'srv/back\\slash', 'srv/q22x', 'srv/.hidden', "srv/new\nline", 'srv/new', 'opt/do not skip me');
is_deeply([sort @there], [sort @kept], 'the rest is there');
my $data_restored = '/var/lib/target/images/202/subvol-202-disk-1.subvol';
ok(-f "$data_restored/a/this" && -f "$data_restored/file", 'and of the mount point');
ok(!-e "$data_restored/$_", "but not '$_'") for 'not this', 'a/nor this', 'skip me', 'under';

# As the configuration says: the mount point is an image again.
my $images = restore(204, $ours, '--rootfs', 'target:1', '--mp0', 'target:1,mp=/mnt/data');
change_image("$images/vm-204-disk-1.raw", sub {
    is(slurp("$_[0]/words"), words(), 'restored into images');
    is((stat("$_[0]/words"))[1], (stat("$_[0]/a/words"))[1], 'with its links');
});

finish();
