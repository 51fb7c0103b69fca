package PVE::Vzvault::Volname;

# The name of a backup, as it stands behind the storage id in a volume id:
#
#     backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv
#
# The form is PVE's own for vzdump archives, because the web UI offers "Restore" and "Prune group"
# by it; the ending is ours. The time is the start of the backup in UTC.
# test/contract/archive-names.json holds the vectors that this module and its TypeScript counterpart
# both have to agree with.
#
# Pure: no I/O, no state. What it returns is untainted.

use strict;
use warnings;

use Time::Local qw(timegm);

use constant FORMAT => 'vzv';

# name, type, vmid, year, month, day, hour, minute, second
my $VOLUME_RE = qr!
    \Abackup/(
        vzdump-(qemu|lxc)-([1-9][0-9]{2,8})
        -([0-9]{4})_([0-9]{2})_([0-9]{2})-([0-9]{2})_([0-9]{2})_([0-9]{2})\.vzv
    )\z
!xa;

# Whether $volname claims to be a backup at all (ours or not).
sub is_backup {
    my ($volname) = @_;

    return $volname =~ m!\Abackup/! ? 1 : 0;
}

# Returns { volume, name, type, vmid, ctime }, or undef where $volname is not the name of one of our
# backups. `volume` is $volname, `name` is it without 'backup/'; `ctime` is in seconds.
sub parse {
    my ($volname) = @_;

    return if !defined($volname);
    my ($name, $type, $vmid, @time) = $volname =~ $VOLUME_RE or return;
    my $ctime = _utc_seconds(@time) // return;

    return {
        volume => "backup/$name",
        name => $name,
        type => $type,
        vmid => int($vmid),
        ctime => $ctime,
    };
}

# Seconds since 1970, or undef where the calendar has no such moment.
sub _utc_seconds {
    my ($year, $month, $day, $hour, $minute, $second) = @_;

    return if $year < 1970;

    return eval { timegm($second, $minute, $hour, $day, $month - 1, $year) };
}

1;
