#!/usr/bin/perl -T
# Stands in for `pct restore`: the files of one container through the backup provider, in a process of its own under taint mode, in the
# order of PVE/LXC/Create.pm, restore_external_archive. For test/support/model-container.ts.
#
# The task (test/support/StandIn.pm): {storeid, path, volume, mechanism, target, idMap: [FIRST, COUNT]}. The target is an empty directory of
# the container's root. The last line is {"done": {error, config, firewall, mechanism}}.

use strict;
use warnings;

use Fcntl qw(O_RDONLY);
use MIME::Base64 qw(encode_base64);

use StandIn qw(provider read_task say_line untainted);
use UserNamespace qw(command_as_container_root);

# PVE/Storage/Plugin.pm
my @COMMON_TAR_FLAGS = qw(
    --one-file-system -p --sparse --numeric-owner --acls --xattrs --xattrs-include=user.*
    --xattrs-include=security.capability --warning=no-file-ignored --warning=no-xattr-write
);

my $task = read_task();
my ($volname, $storeid, $id_map) = $task->@{qw(volume storeid idMap)};
my $result = { error => undef };
my $ok = eval { restore(); 1 };
$result->{error} = "$@" if !$ok;
say_line({ done => $result });

sub restore {
    my $provider = provider('vzvault-ct-restore' => $task->{mechanism});
    for my $file (qw(guest firewall)) {
        my $method = "archive_get_${file}_config";
        my $config = $provider->$method($volname, $storeid);
        $result->{ { guest => 'config', firewall => 'firewall' }->{$file} } = defined($config) ? encode_base64($config, '') : undef;
    }
    my ($mechanism, $type) = $provider->restore_get_mechanism($volname, $storeid);
    die "a container is of type '$type'\n" if $type ne 'lxc';
    $result->{mechanism} = $mechanism;

    my $info = $provider->restore_container_init($volname, $storeid, {});
    my $restored = eval {
        my %restore_by = (tar => \&restore_tar, directory => \&restore_directory);
        $restore_by{$mechanism}->($info);
        1;
    };
    my $error = $@;
    $provider->restore_container_cleanup($volname, $storeid, {});
    die $error if !$restored;

    return;
}

sub restore_tar {
    my ($info) = @_;

    my $path = untainted($info->{'tar-path'});
    die "'$path' is no regular file\n" if !-f $path;
    die "'$path' is no tar file by its name\n" if $path !~ m/\.tar\z/;
    sysopen(my $archive, $path, O_RDONLY) or die "$path: $!\n";
    check_tar($path);
    succeeds('tar', extract($archive));

    return;
}

# At least ten members, and a directory or link for `sbin`.
sub check_tar {
    my ($path) = @_;

    my ($members, $has_sbin) = (0, 0);
    open(my $list, '-|', 'tar', '-tvf', $path, '--numeric-owner') or die "tar: $!\n";
    while (my $line = <$list>) {
        ++$members;
        $has_sbin ||= $line =~ m!^[dlh]\S+ +\d+/\d+ +\d+ +\S+ +\S+ +(?:\./)?sbin(?:/$| ->| link to)!;
    }
    close($list) or die "tar ended with $?\n";
    die "there is no sbin in '$path'\n" if !$has_sbin;
    die "'$path' has $members members\n" if $members < 10;

    return;
}

sub restore_directory {
    my ($info) = @_;

    my $directory = untainted($info->{'archive-directory'});
    die "'$directory' is no directory\n" if !-d $directory;
    pipe(my $stream, my $stream_in) or die "pipe: $!\n";
    my @flags = grep { $_ ne '--one-file-system' } @COMMON_TAR_FLAGS;
    my $reader = fork() // die "fork: $!\n";
    if ($reader == 0) {
        close($stream);
        open(STDOUT, '>&', $stream_in) or die "standard output: $!\n";
        exec('tar', 'cpf', '-', @flags, "--directory=$directory", '.') or die "tar: $!\n";
    }
    close($stream_in);
    my $writer = extract($stream);
    close($stream);
    succeeds($_->@*) for ['reading tar', $reader], ['writing tar', $writer];

    return;
}

# Starts it; what it says of totals goes to standard error.
sub extract {
    my ($input) = @_;

    my @more = ('-C', untainted($task->{target}), qw(--skip-old-files --anchored --exclude ./dev/*));
    return command_as_container_root($id_map, $input, qw(tar xpf - --totals), @COMMON_TAR_FLAGS, @more);
}

sub succeeds {
    my ($what, $pid) = @_;

    waitpid($pid, 0);
    die "$what ended with status $?\n" if $? != 0;

    return;
}
