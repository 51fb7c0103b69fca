package PVE::Storage;

# Stands in for pve-storage's module where there is no Proxmox VE: just what the plugin asks of it.

use strict;
use warnings;

use constant APIVER => 15;

use PVE::Storage::Plugin;
use PVE::Storage::DirPlugin;

# Keeps the newest keep-last entries of a group; the real one knows calendars.
sub prune_mark_backup_group {
    my ($group, $keep) = @_;

    my $left = $keep->{'keep-last'};
    for my $entry (sort { $b->{ctime} <=> $a->{ctime} } $group->@*) {
        next if defined($entry->{mark});
        $entry->{mark} = !defined($left) || $left-- > 0 ? 'keep' : 'remove';
    }
    return;
}

1;
