#!/usr/bin/perl -T

# A container whose files vanish, grow, shrink and become something else while they are read: the
# backup warns, succeeds, and is restored both ways as tar found it.

use strict;
use warnings;

use Test::More;

use Meanwhile;
use Node;
use Tree;

my $MiB = 1024 * 1024;
my $BASE = 100_000;
my $SIZE = 3 * $MiB;

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
my $root = container(101, $BASE);
my $content = pack('N*', map { $_ * 2654435761 % 4294967296 } 1 .. $SIZE / 4);
spew("$root/busy/$_", "$_ " . substr($content, length($_) + 1)) for 'a' .. 'h';
spew("$root/etc/$_", $_) for 'a' .. 'f';
mkdir("$root/sbin");
symlink('gone', "$root/busy/link");
mkdir("$root/busy/directory");
system('/bin/chown', '-R', '-h', "$BASE:$BASE", $root) == 0 or die "chown failed\n";

# tar reads the names of a directory at once, and the files by their inodes.
my %inodes = map { ($_ => (stat("$root/busy/$_"))[1]) } 'a' .. 'h';
my @order = sort { $inodes{$a} <=> $inodes{$b} } keys %inodes;
my ($first, $grows, $shrinks, $vanishes, $file_to_directory, $file_to_link, $replaced, $last) = @order;

# Waits until tar reads a file, and lets it read a little.
sub is_read {
    my ($name) = @_;

    wait_until(60, sub {
        my $tar = process(qr/\Atar -cf - /) // return;
        return grep { (readlink($_) // '') =~ m!/busy/$name\z! } glob("/proc/$tar/fd/*");
    }) or die "$name is not read\n";
    return select(undef, undef, undef, 0.2);
}

sub change {
    my $path = "$root/busy";
    is_read($first);
    unlink("$path/$vanishes", "$path/$file_to_directory", "$path/$file_to_link");
    mkdir("$path/$file_to_directory");
    spew("$path/$file_to_directory/in it", 'x');
    symlink($first, "$path/$file_to_link");
    rmdir("$path/directory");
    unlink("$path/link");
    spew("$path/new", 'written by another name');
    rename("$path/new", "$path/$replaced");
    is_read($grows);
    open(my $fh, '>>', "$path/$grows") or die "$grows: $!\n";
    print {$fh} 'grown' x 1000;
    close($fh);
    is_read($shrinks);
    truncate("$path/$shrinks", 4096) or die "$shrinks: $!\n";
    return spew('/var/tmp/changed', '');
}

my $changer = once(sub { 1 }, \&change);
my @how = ('--storage', 'vault', '--mode', 'stop');
my ($output, $code) = vzdump(101, @how, '--bwlimit', '2048');
waitpid($changer, 0);
ok(-e '/var/tmp/changed', 'the files were changed');
is($code, 0, 'vzdump succeeds') || diag(daemon_log());
like($output, qr!^WARN: tar: \./busy/$_: !m, "it warns of $_") for $grows, $shrinks, $vanishes;
like($output, qr!^WARN: tar: \./busy/$vanishes: File removed before we read it$!m, 'as tar does');
like($output, qr/^WARN: files changed while they were read; they are stored as tar found them$/m,
    'and sums up');
unlike($output, qr/^ERROR/m, 'it is no error');
my ($volid) = pvesm('list', 'vault') =~ m/^(vault:\S+)/m;
ok(defined($volid), 'it is listed');

# The restored trees are alike, and hold what was not touched.
my @restored;
for my $mechanism (qw(tar directory)) {
    my $id = 201 + @restored;
    is((pvesm('set', 'vault', '--vzvault-ct-restore', $mechanism))[1], 0, "set to $mechanism");
    ($output, $code) = pct('restore', $id, $volid, '--unprivileged', 1, '--rootfs', 'target:0');
    is($code, 0, "pct restore by $mechanism") || diag(daemon_log());
    push @restored, "/var/lib/target/images/$id/subvol-$id-disk-0.subvol";
    my $busy = "$restored[-1]/busy";
    my $original = sub { "$_[0] " . substr($content, 2) };
    ok(slurp("$busy/$_") eq $original->($_), "$_ is as it was") for $first, $grows, $last;
    my $shrunk = slurp("$busy/$shrinks");
    is(length($shrunk), $SIZE, "$shrinks has the size that it had");
    my ($begins) = $shrunk =~ m/\A(.*?)\0*\z/s;
    ok(index($original->($shrinks), $begins) == 0 && length($begins) >= 4096 && length($begins) < $SIZE,
        'and zeroes where it ended');
    ok(!-e "$busy/$vanishes", "$vanishes is not there");
    is(slurp("$busy/$replaced"), 'written by another name', "$replaced is the new one");
    is(readlink("$busy/$file_to_link"), $first, "$file_to_link is a link");
    ok(-d "$busy/$file_to_directory", "$file_to_directory is a directory");
}
system('/usr/bin/touch', '-r', $restored[0], $restored[1]);
same_tree($restored[0], $BASE, $restored[1], $BASE, 'both ways give the same');

($output, $code) = vzdump(101, @how);
is($code, 0, 'the next backup succeeds');
unlike($output, qr/^(?:WARN|ERROR)/m, 'without a warning');
my ($verified, $verify_code) = vzvault('verify', 'vault');
is($verify_code, 0, 'the repository is sound') || diag($verified);
finish();
