package PVE::Vzvault::ContainerBackup;

# The backup of one container: tar on this side, the daemon on the other, a pipe between them.
#
# It runs as the container's root user, in its namespaces, in a child of PVE's, which can open no
# connection of its own. What is changed here may be lost, so all that is kept is with the daemon.

use strict;
use warnings;

use PVE::Vzvault::Archive;
use PVE::Vzvault::Client;

# Reads `sources` below `directory` (both of PVE's $info) but for the exclude patterns, and commits.
#   connection => what PVE::Vzvault::Client::open_connection() gave root
#   params     => of backup.container
#   log        => sub ($level, $message)
sub run {
    my ($info, $exclude_patterns, %opts) = @_;

    my ($directory, $sources) = $info->@{qw(directory sources)};
    $opts{log}->('warn', "tar does not match exclusion with a trailing slash '$_'")
        for PVE::Vzvault::Archive::ignored_patterns($sources, $exclude_patterns);
    my @command = PVE::Vzvault::Archive::command($directory, $sources, $exclude_patterns);

    local $SIG{CHLD} = 'DEFAULT'; # how tar ended must be known
    my $tar = PVE::Vzvault::Archive->start(@command);
    my $end = sub {
        my ($exit_code, $signal) = $tar->wait_for_end();
        return { exitCode => $exit_code, signal => $signal };
    };
    PVE::Vzvault::Client::call(
        'backup.container', $opts{params},
        log => $opts{log},
        fds => [$tar->pipes()],
        handlers => { 'backup.archiveEnd' => $end },
        connection => $opts{connection},
    );

    return;
}

1;
