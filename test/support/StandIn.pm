package StandIn;

# What the programs that stand in for PVE's tools share: JSON, one value a line, from and to the test that started them, and what vzdump
# does around the backup of one guest, whatever its type (PVE/VZDump.pm, exec_backup and exec_backup_task).
#
# The first line that they read is their task: {storeid, path, ...}. To the test they say {"log": [LEVEL, LINE]}, ask questions that are
# answered with one line each, and say {"done": {...}} at last. All that comes from the test is tainted, as it is in PVE.

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use POSIX ();

use PVE::Storage;
use PVE::Tools;
use PVE::Storage::Custom::VzvaultPlugin;

our @EXPORT_OK = qw(ask log_line provider read_task run_job say_line untainted);

my $json = JSON::PP->new->canonical->ascii;
my $task;

sub read_task {
    $| = 1; ## no critic (RequireLocalizedPunctuationVars)
    $ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin'; ## no critic (RequireLocalizedPunctuationVars)
    delete @ENV{qw(IFS CDPATH ENV BASH_ENV)};
    $task = $json->decode(scalar(<STDIN>));
    return $task;
}

# The storage's section has `settings` too.
sub provider {
    my (%settings) = @_;

    my $scfg = { type => 'vzvault', path => $task->{path}, content => { backup => 1 }, %settings };
    return PVE::Storage::Custom::VzvaultPlugin->new_backup_provider($scfg, $task->{storeid}, \&log_line);
}

# A job of one guest of this type: {error, volume, added}. The task tells vmid, startTime and the `directory` for the log; `guest`:
#   settings  of the storage
#   archive   called with the provider: what vzdump does for this type of guest
#   clean_up  called after it, whatever came of it
#   at        called with `archived` and `cleaned` when a backup that succeeds has come to that
sub run_job {
    my ($type, $guest) = @_;

    my $result = { error => undef, volume => undef, added => 0 };
    my $ok = eval {
        my $provider = provider(($guest->{settings} // {})->%*);
        my $started = eval { $provider->job_init($task->{startTime}); 1 };
        my $error = $@;
        _backup_guest($provider, $type, $guest, $result) if $started;
        $error ||= $result->{error};
        my $ended = eval { $provider->job_cleanup(); 1 };
        $error ||= $@ if !$ended;
        eval { $provider->job_cleanup() } if !$ended;
        die $error if $error;
        1;
    };
    $result->{error} = "$@" if !$ok;

    return $result;
}

sub _backup_guest {
    my ($provider, $type, $guest, $result) = @_;

    my $vmid = $task->{vmid};
    my $what = $type eq 'qemu' ? 'VM' : 'CT';
    _vzdump_line('INFO', "Starting Backup of VM $vmid ($type)");
    my $ok = eval {
        my $name = $provider->backup_init($vmid, $type, $task->{startTime})->{'archive-name'};
        $result->{volume} = "backup/$name";
        $guest->{archive}->($provider);
        $guest->{at}->('archived') if $guest->{at};
        $result->{added} = $provider->backup_cleanup($vmid, $type, 1, {})->{stats}->{'archive-size'};
        $guest->{at}->('cleaned') if $guest->{at};
        1;
    };
    my $error = $@;
    $guest->{clean_up}->() if $guest->{clean_up};
    _vzdump_line('INFO', "Finished Backup of VM $vmid") if $ok;
    if (!$ok) {
        $result->{error} = $error;
        _vzdump_line('ERROR', "Backup of $what $vmid failed - $error");
        eval { $provider->backup_cleanup($vmid, $type, 0, { error => $error }); 1 }
            or log_line('warn', "backup cleanup for external provider failed - $@");
    }
    $provider->backup_handle_log_file($vmid, _log_file());
    die $error if !$ok && $error =~ m/^interrupted by signal$/;

    return;
}

sub _log_file {
    return untainted("$task->{directory}/task.log");
}

# What vzdump itself says of a guest goes into the guest's file; what the provider says does not.
sub _vzdump_line {
    my ($level, $line) = @_;

    my $file = _log_file();
    open(my $log, '>>', $file) or die "$file: $!\n";
    print {$log} POSIX::strftime('%F %H:%M:%S', localtime()), " $level: $line\n";
    close($log) or die "$file: $!\n";

    return;
}

sub log_line {
    my ($level, $line) = @_;

    say_line({ log => [$level, $line] });

    return;
}

sub ask {
    my ($question) = @_;

    say_line($question);
    my $line = <STDIN> // die "nobody answers\n";
    return $json->decode($line);
}

sub say_line {
    my ($message) = @_;

    print $json->encode($message), "\n";
    return;
}

# Our caller's own words.
sub untainted {
    my ($text) = @_;

    my ($clean) = $text =~ m!\A([A-Za-z0-9/._=:+?-]+)\z! or die "'$text' holds odd characters\n";
    return $clean;
}

1;
