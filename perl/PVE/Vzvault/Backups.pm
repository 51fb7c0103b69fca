package PVE::Vzvault::Backups;

# The backups of a storage as a whole: listing them page by page, marking and removing what
# retention no longer wants. The marking itself is PVE's own, so that vzvault keeps what any other
# storage would.

use strict;
use warnings;

use PVE::Vzvault::Client;
use PVE::Vzvault::Error qw(code_of raise);
use PVE::Vzvault::Section;
use PVE::Vzvault::Volname;

# One call of the daemon about this storage.
sub call {
    my ($storeid, $scfg, $method, %params) = @_;

    my $storage = PVE::Vzvault::Section::storage($storeid, $scfg);
    return PVE::Vzvault::Client::call($method, { storage => $storage, %params });
}

# All backups, or those of one guest: a list of what docs/protocol.md calls list entries.
sub list {
    my ($storeid, $scfg, $vmid) = @_;

    my $backups = [];
    my %params = defined($vmid) ? (vmid => $vmid) : ();
    while (1) {
        my $page = call($storeid, $scfg, 'storage.list', %params);
        push $backups->@*, $page->{backups}->@*;
        last if !$page->{more} || !$page->{backups}->@*;
        $params{after} = $backups->[-1]->{volume};
    }

    return $backups;
}

# The same in the form of PVE's list of volumes. What `vzvault verify` found damaged is told as PVE has
# it for its own backup servers; as its web interface shows that for them only, the notes begin with
# it too. Who edits the notes gets them without.
sub volumes {
    my ($storeid, $scfg, $vmid) = @_;

    my @volumes;
    for my $entry (list($storeid, $scfg, $vmid)->@*) {
        my $volume = {
            volid => "$storeid:$entry->{volume}",
            format => PVE::Vzvault::Volname::FORMAT,
            content => 'backup',
            subtype => $entry->{guestType},
            vmid => $entry->{vmid},
            size => $entry->{sizeBytes},
            ctime => $entry->{timeSeconds},
        };
        my ($first_line) = split(/\r?\n/, $entry->{notes}, 2);
        $volume->{notes} = $first_line if length($first_line // '');
        if ($entry->{verifyState} eq 'damaged') {
            $volume->{verification} = { state => 'failed', upid => '' }; # no task has found it
            $volume->{notes} = join(': ', 'DAMAGED', $volume->{notes} // ());
        }
        $volume->{protected} = 1 if $entry->{protected};
        push @volumes, $volume;
    }

    return \@volumes;
}

# The backups of all guests, or of $vmid and $type, in the form of PVE's prune lists: ctime, type,
# vmid, volid and mark. A damaged one neither counts as kept, which could make a good one go in its
# place, nor is it marked for removal: that is for the administrator. Without the key nobody knows
# which are damaged: then it dies with E_KEY_MISSING.
sub mark {
    my ($storeid, $scfg, $keep, $vmid, $type) = @_;

    my ($marked, $groups) = ([], {});
    for my $entry (list($storeid, $scfg, $vmid)->@*) {
        next if defined($type) && $type ne $entry->{guestType};
        raise('E_KEY_MISSING', "pruning $storeid: which backups are damaged cannot be read")
            if $entry->{verifyState} eq 'unknown';
        my $item = {
            ctime => $entry->{timeSeconds},
            type => $entry->{guestType},
            vmid => $entry->{vmid},
            volid => "$storeid:$entry->{volume}",
        };
        push $marked->@*, $item;
        if ($entry->{protected}) {
            $item->{mark} = 'protected';
        } elsif ($entry->{verifyState} eq 'damaged') {
            $item->{mark} = 'keep';
            next;
        }
        push $groups->{"$item->{type}/$item->{vmid}"}->@*, $item;
    }
    PVE::Storage::prune_mark_backup_group($_, $keep) for values $groups->%*;

    return $marked;
}

# Removes what mark() marked so. Goes on after a failure, and dies in the end.
sub remove_marked {
    my ($storeid, $scfg, $marked, $logfunc) = @_;

    $logfunc //= sub { print "$_[1]\n" };
    my $failed;
    for my $volid (map { $_->{volid} } grep { $_->{mark} eq 'remove' } $marked->@*) {
        $logfunc->('info', "removing backup '$volid'");
        my ($volume) = $volid =~ m/:(.+)\z/;
        next if eval { call($storeid, $scfg, 'storage.free', volume => $volume); 1 };
        my $err = $@;
        my $code = code_of($err) // die $err;
        next if $code eq 'E_SNAPSHOT_MISSING'; # another was faster
        $logfunc->('err', "error when removing backup '$volid' - $err");
        $failed = 1;
    }
    die "error pruning backups - check log\n" if $failed;

    return;
}

1;
