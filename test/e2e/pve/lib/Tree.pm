package Tree;

# Directory trees as a container has them: one with one of every odd kind, and whether another is
# the same in everything that a restore has to give back.
#
# What is compared, by path: type, mode, owners less the host's id that the container's root has,
# size, time to the nanosecond, target, device numbers, which paths are one inode, content, where
# data and holes lie, the attributes user.* and security.capability, and both ACLs.

use strict;
use warnings;

use Digest::SHA;
use Exporter qw(import);
use Fcntl qw(S_IFMT S_ISREG);
use IO::Socket::UNIX;
use POSIX ();
use Socket ();
use Test::More;

use Node;

our @EXPORT = qw(different_trees manifest populate same_tree words);

my $MiB = 1024 * 1024;
my ($SEEK_DATA, $SEEK_HOLE) = (3, 4); # of Linux
my $CAP_V3 = '03000001';

# 2 MB that no chunk of repeats, and that are the same in every run.
sub words {
    return join('', map { pack('N', $_ * 2654435761 % 4294967296) } 1 .. 500_000);
}

# --- one of every odd kind ---

# Names that something on the way might take for something else.
my @ODD_NAMES = (
    "caf\xe9", "new\nline", "tab\there", 'a b', ' leading', 'trailing ', '-rf', '--exclude=x',
    'back\\slash', '\\n', '\\101', "\x01\x02\xff", "'quotes\"", 'glob*?[a]', 'x -> y', '%s%n',
    'n' x 255, ('a' x 254) . "\xff", "\xc3\xa9", "e\xcc\x81", '...', 'GNUSparseFile.0/name',
    'PaxHeaders.1/name', '=', 'colon:name', '#hash', '@LongLink',
);

# A small root filesystem whose root is $base on the host. PVE wants ten members and an sbin.
sub populate {
    my ($root, $base) = @_;

    spew("$root/$_", "content of $_\n") for 'usr/sbin/init', 'etc/hostname', 'etc/passwd', 'srv/a b';
    spew("$root/srv/odd/$_", "content of $_\n") for @ODD_NAMES;
    spew("$root/srv/empty", '');
    spew("$root/var/lib/large", words());
    _sparse_files("$root/var/lib/sparse");
    my $long = join('/', map { $_ x 100 } 'a' .. 'f'); # beyond what a tar header holds
    spew("$root/srv/$long/file", 'deep');
    my %links = (
        sbin => 'usr/sbin',
        'etc/link' => '/etc/hostname',
        'srv/dangling' => "no/such \xff\nfile",
        'srv/long link' => join('/', ('x' x 50) x 60),
        "srv/$long/link" => 'file',
    );
    symlink($links{$_}, "$root/$_") or die "symlink: $!\n" for keys %links;
    POSIX::mkfifo("$root/srv/fifo", 0600) or die "mkfifo: $!\n";
    my %same = (
        'var/lib/large' => 'var/lib/hard link',
        'etc/hostname' => "srv/$long/hard link",
        'etc/link' => 'srv/link too',
        'srv/empty' => 'srv/empty too',
    );
    link("$root/$_", "$root/$same{$_}") or die "link: $!\n" for keys %same;
    _socket("$root/srv");
    _attributes($root, $base);
    return;
}

# A socket's path is short, so it is told from within its directory.
sub _socket {
    my ($dir) = @_;

    chdir($dir) or die "chdir: $!\n";
    IO::Socket::UNIX->new(Local => 'socket', Listen => 1) or die "socket: $!\n";
    chdir('/');
    return;
}

# Holes at the beginning, in the middle, at the end, everywhere; zeroes that are written.
sub _sparse_files {
    my ($dir) = @_;

    fill("$dir/middle", 64 * $MiB, 5 * $MiB => words(), 60 * $MiB => 'end');
    fill("$dir/hole", 8 * $MiB);
    fill("$dir/beginning", 4 * $MiB, 4 * $MiB - 4096 => 'x' x 4096);
    fill("$dir/end", 4 * $MiB, 0 => 'x' x 4096);
    fill("$dir/odd size", 2 * $MiB + 123, 0 => 'begins', 2 * $MiB + 120 => 'end');
    fill("$dir/comb", 16 * $MiB, map { $_ * 16_384 => pack('N', $_) x 1024 } 1 .. 1000);
    fill("$dir/zeroes", 2 * $MiB, 65_536 => "\0" x 65_536, 262_144 => 'x' x 65_536);
    return;
}

sub _attributes {
    my ($root, $base) = @_;

    my $script = <<'EOS';
cd "$1" || exit 1
b=$2
mkdir -p -m 700 lost+found dev srv/none && chown -R -h "$b:$b" . \
&& mknod dev/null c 1 3 && mknod dev/loop0 b 7 0 && chown "$b:$((b + 6))" dev/null dev/loop0 \
&& chmod 666 dev/null && chmod 4755 usr/sbin/init && chmod 1777 tmp && chmod 2775 srv/none \
&& chown -R "$((b + 33)):$((b + 1000))" srv/deep && chown -h "$((b + 65534)):$((b + 7))" etc/link \
&& chown "$((b + 33)):$((b + 65535))" srv/empty && chmod 000 srv/empty && chmod 7777 "srv/odd/=" \
&& setfacl -n -m "u:$((b + 1000)):r,g:$((b + 33)):rwx,m::r" 'srv/a b' \
&& setfacl -m "u:$((b + 1)):rwx" srv/deep && setfacl -d -m "g:$((b + 33)):rx,u:$((b + 5)):-" srv/deep \
&& setfattr -n user.comment -v 'a=b' 'srv/a b' && setfattr -n user.bytes -v 0x00ff0a3d0d 'srv/a b' \
&& setfattr -n user.empty 'srv/a b' && setfattr -n user.large -v "$(printf '%02000d' 7)" srv/deep \
&& setfattr -n 'user.name = with	blanks' -v x etc/passwd \
&& if [ "$b" = 0 ]; then setcap cap_net_raw+ep etc/passwd; \
   else setcap -n "$b" cap_net_raw,cap_chown+ep etc/passwd; fi \
&& touch -d '2020-02-02 02:02:02.123456789' etc/passwd && touch -d '1969-01-01' etc/hostname \
&& touch -h -d '2001-01-01 01:01:01.000000001' etc/link && touch -d '2030-01-01 00:00:00.9' srv/fifo \
&& touch -d '2106-02-08' srv/none && touch -d '2019-09-09 09:09:09.999999999' srv/deep srv . \
&& chown 0:0 lost+found
EOS
    spew("$root/$_", 'x') for 'tmp/left out', 'var/tmp/x/left out', 'srv/deep/file';
    system('/bin/sh', '-c', $script, 'sh', $root, $base) == 0 or die "cannot populate $root\n";
    return;
}

# --- what a tree is ---

# One text for each path.
sub manifest {
    my ($root, $base) = @_;

    my ($tree, %first) = ({});
    my $id = sub { $_[0] >= $base ? $_[0] - $base : "host's $_[0]" };
    open(my $found, '-|', '/usr/bin/find', $root, '-printf', '%P\0%T@\0') or die "find: $!\n";
    my @entries = do { local $/ = "\0"; map { chomp; $_ } <$found> };
    close($found);
    while (my ($name, $time) = splice(@entries, 0, 2)) {
        my ($path) = "$root/$name" =~ m/\A(.*)\z/s;
        my ($dev, $inode, $mode, undef, $uid, $gid, $rdev, $size) = lstat($path)
            or die "$path: $!\n";
        my $type = S_IFMT($mode);
        my $text = sprintf("%o %s:%s %s", $mode, $id->($uid), $id->($gid), $time);
        $text .= sprintf(" device %x", $rdev) if $rdev;
        $text .= ' -> ' . readlink($path) if -l $path;
        $text .= " size $size " . _content($path, $size) if S_ISREG($mode);
        push $first{"$dev:$inode"}->@*, $name if !-d _;
        $tree->{$name} = $text;
    }
    for my $names (values %first) {
        my @names = sort $names->@*;
        $tree->{$_} .= " one with $names[0]" for $names->@* > 1 ? @names : ();
    }
    my @pattern = ('-m', '^(user\.|security\.capability)', '-e', 'hex');
    _add($tree, $root, $base, 'getfattr', '-R', '-h', '-P', '-d', @pattern);
    _add($tree, $root, $base, 'getfacl', '-R', '-P', '-n', '-p');
    return $tree;
}

sub _content {
    my ($path, $size) = @_;

    open(my $fh, '<:raw', $path) or die "$path: $!\n";
    my $sha = Digest::SHA->new(256)->addfile($fh)->hexdigest();
    my ($extents, $at) = ('', 0);
    while (defined($at = sysseek($fh, $at, $SEEK_DATA))) {
        $at += 0;
        my $end = sysseek($fh, $at, $SEEK_HOLE) // $size;
        $extents .= " $at-$end";
        $at = $end;
    }
    return "$sha data$extents";
}

# Adds what a tool says of each path: lines below '# file: PATH'.
sub _add {
    my ($tree, $root, $base, @command) = @_;

    open(my $out, '-|', '/bin/sh', '-c', 'cd "$1" && shift && exec "$@" . 2>&1', 'sh', $root, @command)
        or die "$command[0]: $!\n";
    my $text = do { local $/; <$out> };
    close($out);
    for my $paragraph (split(/\n\n/, $text)) {
        my ($name, $lines) = $paragraph =~ m/\A# file: ([^\n]*)\n(.*)\z/s or die "$command[0]: $paragraph\n";
        $name =~ s/\\(\\|[0-7]{3})/$1 eq '\\' ? $1 : chr(oct($1))/ge;
        $name =~ s!\A\./?!!;
        die "$command[0]: what is '$name'?\n" if !defined($tree->{$name});
        $tree->{$name} .= "\n" . _less($lines, $base);
    }
    return;
}

# Ids less $base: of ACLs, and that of the namespace of a capability.
sub _less {
    my ($lines, $base) = @_;

    my $less = sub { return $_[0] >= $base ? $_[0] - $base : "host's $_[0]" };
    $lines =~ s/^(# (?:owner|group): )(\d+)/$1 . $less->($2)/mge;
    $lines =~ s/^((?:default:)?(?:user|group):)(\d+)(?=:)/$1 . $less->($2)/mge;
    $lines =~ s/^(security\.capability=0x)(\w{2})000002(\w{32})$/"$1$2..$3 of 0"/mge;
    $lines =~ s/^(security\.capability=0x)(\w{2})000003(\w{32})(\w{8})$/
        "$1$2..$3 of " . $less->(unpack('V', pack('H8', $4)))/mgex;
    return $lines;
}

# --- tests ---

# Where the trees differ, a text each. $left_out: a pattern of paths of the original that are not to
# be there.
sub _differences {
    my ($original, $base, $restored, $restored_base, $left_out) = @_;

    my $expected = ref($original) ? { $original->%* } : manifest($original, $base);
    my $got = manifest($restored, $restored_base);
    delete $expected->@{ grep { $_ =~ $left_out } keys $expected->%* } if $left_out;
    my %all = ($expected->%*, $got->%*);
    return map { "'$_' was " . ($expected->{$_} // 'not there') . "\nand is " . ($got->{$_} // 'not there') }
        grep { ($expected->{$_} // '') ne ($got->{$_} // '') } sort keys %all;
}

# Whether two trees are the same but for what their owners' ids begin at, and for what was left out. The
# original can be the manifest that it had.
sub same_tree {
    my ($original, $base, $restored, $restored_base, $name, $left_out) = @_;

    my @differences = _differences($original, $base, $restored, $restored_base, $left_out);
    return ok(!@differences, $name) || diag(join("\n", splice(@differences, 0, 20)));
}

# Whether exactly these paths differ.
sub different_trees {
    my ($original, $other, $base, $paths, $name) = @_;

    my @paths = map { m/\A'(.*?)' was/s } _differences($original, $base, $other, $base);
    return is_deeply(\@paths, [sort $paths->@*], $name);
}

1;
