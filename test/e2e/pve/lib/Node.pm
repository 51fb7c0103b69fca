package Node;

# What the cases share: a node's storage.cfg, guests with disks, the daemon, and PVE's own tools run
# as PVE runs them. Every output of a tool is searched for uses of tainted data; finish() counts
# that as a test.

use strict;
use warnings;
use feature 'state';

require PVEHarness; # before PVE's own modules: it is what makes them run here

use Exporter qw(import);
use File::Path qw(make_path);
use IO::Socket::UNIX;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT = qw(add_vault api container daemon_is_alive daemon_log daemon_pid finish fill
    flip mechanism one_line_error pct pvesm qm qmrestore restart_daemon same_disk slurp spew
    start_daemon stop_daemon storage_cfg vm vzdump vzvault);

my ($BIN) = $ENV{VZVAULT_BIN} =~ m/\A(.+)\z/;
my ($PVE) = $ENV{PVE_SRC} =~ m/\A(.+)\z/;
my ($LIB) = __FILE__ =~ m!\A(/.+)/[^/]+\z!;
my $TAINT = 'HARNESS TAINT';
my $LOG = '/var/log/vzvaultd.log';
my @tainted;
my $daemon;

# vzdump connects to it for as long as it uses a guest; nobody ever accepts. A global, to stay open.
our $qmeventd = IO::Socket::UNIX->new(Local => '/var/run/qmeventd.sock', Listen => 1024)
    or die "qmeventd: $!\n";

# --- files ---

sub slurp {
    my ($path) = @_;

    open(my $fh, '<:raw', $path) or die "$path: $!\n";
    my ($bytes) = do { local $/; <$fh> } =~ m/\A(.*)\z/s;
    return $bytes;
}

sub spew {
    my ($path, $bytes) = @_;

    my ($dir) = $path =~ m!\A(.*)/!;
    make_path($dir);
    open(my $fh, '>:raw', $path) or die "$path: $!\n";
    print {$fh} $bytes;
    close($fh) or die "$path: $!\n";
    return;
}

# How VMs are backed up in this run of a case that is run once for each mechanism.
sub mechanism {
    my ($mechanism) = ($ENV{VM_MECHANISM} // 'nbd') =~ m/\A(nbd|file-handle)\z/;
    return $mechanism;
}

# Adds a storage with a new repository, or one that is there.
sub add_vault {
    my ($storeid, $path, @options) = @_;

    push @options, '--vzvault-vm-mechanism', mechanism() if mechanism() ne 'nbd';
    my (undef, $code) = pvesm('add', 'vzvault', $storeid, '--path', $path, @options);
    return is($code, 0, "a storage $storeid of mechanism " . mechanism());
}

# Turns a bit of a file over: once damages it, twice mends it.
sub flip {
    my ($path, $at) = @_;

    chmod(0600, $path);
    open(my $fh, '+<:raw', $path) or die "$path: $!\n";
    seek($fh, $at, 0);
    read($fh, my $byte, 1) == 1 or die "$path: $!\n";
    seek($fh, $at, 0);
    print {$fh} chr(ord($byte) ^ 1);
    close($fh) or die "$path: $!\n";
    return;
}

# The node's storages: 'local' and 'target' for guest disks, and what the case adds.
sub storage_cfg {
    my (@sections) = @_;

    make_path('/var/lib/target');
    my $guests = "content images,rootdir";
    PVE::Tools::file_set_contents('/etc/pve/storage.cfg', join("\n",
        "dir: local\n\tpath /var/lib/vz\n\t$guests\n",
        "dir: target\n\tpath /var/lib/target\n\t$guests\n", @sections));
    PVE::Cluster::cfs_update();
    return;
}

# --- the daemon ---

# %env: what it finds in its environment beside what is there.
sub start_daemon {
    my (%env) = @_;

    my $log_size = -s $LOG // 0;
    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        open(STDIN, '<', '/dev/null');
        open(STDOUT, '>>', $LOG);
        open(STDERR, '>&', \*STDOUT);
        @ENV{ keys %env } = values %env;
        exec("$BIN/vzvaultd") or POSIX::_exit(127);
    }
    $daemon = $pid;
    for (1 .. 150) {
        return if IO::Socket::UNIX->new(Peer => '/run/vzvault/vzvaultd.sock');
        last if waitpid($pid, POSIX::WNOHANG()) != 0;
        sleep(0.1);
    }
    die "vzvaultd does not start:\n" . substr(slurp($LOG), $log_size) . "\n";
}

sub stop_daemon {
    my ($signal) = @_;

    return if !$daemon;
    kill($signal // 'TERM', $daemon);
    waitpid($daemon, 0);
    $daemon = undef;
    return;
}

sub restart_daemon {
    my ($signal) = @_;

    stop_daemon($signal);
    start_daemon();
    return;
}

sub daemon_pid {
    return $daemon;
}

sub daemon_is_alive {
    return $daemon && waitpid($daemon, POSIX::WNOHANG()) == 0;
}

sub daemon_log {
    return -e $LOG ? slurp($LOG) : '';
}

# --- tools ---

# PVE calls it by its name.
my $QM = '/usr/sbin/qm';
{
    my $perl = "/usr/bin/perl -T -I'$LIB' -MPVEHarness -MBlockGraph";
    spew('/run/vzvault-test/qm', "#!/bin/sh\nexec $perl '$PVE/qemu-server/src/bin/qm' \"\$@\"\n");
    chmod(0755, '/run/vzvault-test/qm') or die "chmod: $!\n";
    system('/bin/mount', '--bind', '/run/vzvault-test/qm', $QM) == 0 or die "mount failed\n";
}

# Runs a command; returns its output, both streams, and its exit code.
sub _run {
    my (@command) = @_;

    utf8::encode($_) for @command;
    my $pid = open(my $out, '-|') // die "fork: $!\n";
    if ($pid == 0) {
        open(STDERR, '>&', \*STDOUT);
        exec(@command) or POSIX::_exit(127);
    }
    my $output = do { local $/; <$out> } // '';
    close($out);
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8; # as a shell says it
    $output =~ s/^setlogsock\(\).*\n//mg; # there is no syslog here
    push @tainted, "@command\n$output" if $output =~ m/$TAINT/;
    note("\$ @command\n" . _printable($output) . "(exit $code)");
    PVE::Cluster::cfs_update();

    return wantarray ? ($output, $code) : $output;
}

# For the eye: not endless, and text.
sub _printable {
    my ($output) = @_;

    $output = substr($output, 0, 20_000) . "\n...\n" if length($output) > 20_000;
    my $decoded = $output;
    $output =~ s/[^\t\n\x20-\x7e]/?/g if !utf8::decode($decoded) || $decoded =~ m/[\0-\x08]/;
    return $output;
}

sub _pvesm { return _run('/usr/bin/perl', '-MPVEHarness', "$PVE/pve-storage/src/bin/pvesm", @_) }

# With VAULT_ENCRYPTED in the environment storages of ours are encrypted, so that a case can be run so.
sub pvesm {
    my (@args) = @_;

    return _pvesm(@args) if !$ENV{VAULT_ENCRYPTED} || "@args[0, 1]" ne 'add vzvault';

    # One key for all repositories of a case: a storage can lead from one to another, and two nodes
    # can have the same.
    my ($shared) = $ENV{NODES_SHARED} =~ m/\A(.+)\z/;
    my $key = "$shared/key";
    my @result = _pvesm(@args, '--encryption-key', -e $key ? $key : 'autogen');
    my $file = "/etc/pve/priv/storage/$args[2].enc";
    spew($key, slurp($file)) if !-e $key && -e $file;
    return wantarray ? @result : $result[0];
}

sub vzdump { return _run('/usr/bin/perl', '-T', '-MPVEHarness', "$PVE/pve-manager/bin/vzdump", @_) }

sub qmrestore {
    return _run('/usr/bin/perl', '-T', '-MPVEHarness', "$PVE/qemu-server/src/bin/qmrestore", @_);
}

# Of a VM's disks in another order than before the harness has to be told.
sub qm {
    my ($command, $vmid, @rest) = @_;

    my @result = _run($QM, $command, $vmid, @rest);
    require BlockGraph;
    BlockGraph::update($vmid) if PVE::QemuServer::Helpers::vm_running_locally($vmid);
    return wantarray ? @result : $result[0];
}

sub vzvault { return _run("$BIN/vzvault", @_) }

sub pct { return _run('/usr/bin/perl', '-T', '-MPVEHarness', "$PVE/pve-container/src/pct", @_) }

# An API call in this process, which is as tainted as pvedaemon.
sub api {
    my ($class, $method, %params) = @_;

    state $environment = PVE::RPCEnvironment->setup_default_cli_env();
    eval "require $class" or die $@; ## no critic (ProhibitStringyEval)
    my $info = $class->map_method_by_name($method);
    $params{node} = 'pve1' if $info->{parameters}->{properties}->{node};
    return $class->handle($info, \%params);
}

# --- guests ---

# Bytes at an offset of a file, the rest sparse; the file is made and sized first.
sub fill {
    my ($path, $size, %at) = @_;

    spew($path, '');
    open(my $fh, '+<:raw', $path) or die "$path: $!\n";
    truncate($fh, $size) or die "$path: $!\n";
    for my $offset (sort { $a <=> $b } keys %at) {
        seek($fh, $offset, 0);
        print {$fh} $at{$offset};
    }
    close($fh) or die "$path: $!\n";
    return;
}

# Writes the configuration of a VM and starts it.
sub vm {
    my ($vmid, $config) = @_;

    PVE::Tools::file_set_contents("/etc/pve/qemu-server/$vmid.conf", $config);
    PVE::Cluster::cfs_update();
    PVEHarness::start_qemu($vmid);
    return;
}

# Writes the configuration of a container on the storage 'local', and makes an empty root for it,
# whose path it returns. $base is the host's id of the container's root: 0 makes it privileged.
sub container {
    my ($vmid, $base, %more) = @_;

    my $name = "subvol-$vmid-disk-0.subvol";
    my $root = "/var/lib/vz/images/$vmid/$name";
    make_path($root);
    chown($base, $base, $root);
    my %config = (
        arch => 'amd64',
        hostname => "ct$vmid",
        memory => 128,
        ostype => 'unmanaged',
        rootfs => "local:$vmid/$name,size=0T",
        ($base ? (unprivileged => 1) : ()),
        %more,
    );
    spew("/etc/pve/lxc/$vmid.conf", join('', map { "$_: $config{$_}\n" } sort keys %config));
    PVE::Cluster::cfs_update();
    return $root;
}

# --- tests ---

# Whether the restored image holds the bytes of the original one, whatever their formats. PVE makes
# disks of whole KiB: what a restored one has more than the original must be less, and zeroes.
sub same_disk {
    my ($original, $restored, $name) = @_;

    my ($left, $right) = map { m/\.(qcow2|raw)\z/ } $original, $restored;
    my ($output, $code) =
        _run('/usr/bin/qemu-img', 'compare', '-f', $left, '-F', $right, $original, $restored);
    my ($size, $restored_size) =
        map { scalar(PVE::Storage::file_size_info($_->[0], undef, $_->[1])) }
        [$original, $left], [$restored, $right];
    my $more = $restored_size - $size;
    return ok($code == 0 && $more >= 0 && $more < 1024, $name)
        || diag("$output$size bytes went in, $restored_size came out");
}

# Whether the output has the error of this code, on exactly one line.
sub one_line_error {
    my ($output, $code, $name) = @_;

    my @lines = grep { m/\($code: / } split(/\n/, $output);
    return is(scalar(@lines), 1, $name) || diag($output);
}

sub finish {
    stop_daemon();
    is(scalar(@tainted), 0, 'no tainted data was used') || diag(join("\n", @tainted));
    done_testing();
    return;
}

1;
