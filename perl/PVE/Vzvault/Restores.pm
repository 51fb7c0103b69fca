package PVE::Vzvault::Restores;

# The restores of one PVE task: what the backup provider's restore methods ask of the daemon. Holds
# only the ids that the daemon gave out, by volume name; ending one that is not there is done
# already.
#
# Of a container PVE asks for both configurations once more when its files are there, and removes
# it where it gets none (pve-container LXC/Create.pm, restore_configuration). So they are kept from
# the beginning of the restore: a daemon that has gone by then costs nothing. They are the
# process's, because PVE makes a new provider for each of these questions.

use strict;
use warnings;

use Errno ();
use MIME::Base64 qw(decode_base64);

use PVE::Vzvault::Error qw(is_interruption raise);
use PVE::Vzvault::Volname;

# Of the container whose restore began last: { of => the storage and the volume, files => { name =>
# bytes or undef } }.
my $kept = { of => '', files => {} };

# $calls is a PVE::Vzvault::Calls.
sub new {
    my ($class, $calls) = @_;

    return bless { calls => $calls, ids => {} }, $class;
}

# What a volume name says, also of one that was never listed.
sub parse {
    my ($volname) = @_;

    return PVE::Vzvault::Volname::parse($volname)
        // die "'$volname' is not the name of a vzvault backup\n";
}

# The bytes of a file of the backup as they were given to its backup, undef where it has none. Needs
# no restore to have begun, and no daemon where that of a container has.
sub read_config {
    my ($self, $volname, $name) = @_;

    my $files = $kept->{files};
    return $files->{$name} if exists($files->{$name}) && $kept->{of} eq $self->_source($volname);
    return $self->_ask_config($volname, $name);
}

sub _ask_config {
    my ($self, $volname, $name) = @_;

    my $calls = $self->{calls};
    my @file = (volume => parse($volname)->{volume}, name => $name);
    my $content = $calls->call('storage.readConfig', $calls->storage(), @file)->{contentBase64};

    return defined($content) ? decode_base64($content) : undef;
}

# The storage, as it is configured, and the volume.
sub _source {
    my ($self, $volname) = @_;

    my (undef, $section) = $self->{calls}->storage();
    my @section = map { $_, $section->{$_} // '' } sort keys $section->%*;
    return join("\0", @section, parse($volname)->{volume});
}

# Answers the disks: { device => { sizeBytes } }.
sub begin {
    my ($self, $volname) = @_;

    my $calls = $self->{calls};
    my $restore = $calls->call('restore.begin', $calls->storage(), volume => $volname);
    $self->{ids}->{$volname} = $restore->{restoreId};

    return $restore->{disks};
}

# The path of a file that is the disk.
sub open_disk {
    my ($self, $volname, $device) = @_;

    my @disk = (restoreId => $self->{ids}->{$volname}, device => $device);
    return $self->{calls}->call('restore.openDisk', @disk)->{path};
}

sub close_disk {
    my ($self, $volname, $device) = @_;

    my $id = $self->{ids}->{$volname} // return;
    $self->{calls}->clean_up('restore.closeDisk', restoreId => $id, device => $device);

    return;
}

# Begins the restore of a container, and answers the path of its tar file or directory. Where this
# dies nothing is left, since PVE cleans up only what began.
sub begin_archive {
    my ($self, $volname, $mechanism) = @_;

    $self->begin($volname);
    my @archive = (restoreId => $self->{ids}->{$volname}, mechanism => $mechanism);
    my $path = eval {
        my %files =
            map { $_ => scalar($self->_ask_config($volname, $_)) } qw(guest.conf firewall.conf);
        my $opened = $self->{calls}->call('restore.openArchive', @archive)->{path};
        # PVE would say that it is of the wrong kind.
        raise('E_CATALOGUE_DAMAGED', "listing the files of $volname: $!")
            if !stat($opened) && $!{EIO};
        $kept = { of => $self->_source($volname), files => \%files };
        $opened;
    };
    return $path if defined($path);

    my $error = $@;
    $self->end($volname) if !is_interruption($error);
    die $error;
}

sub end {
    my ($self, $volname) = @_;

    my $id = delete $self->{ids}->{$volname} // return;
    $self->{calls}->clean_up('restore.end', restoreId => $id);

    return;
}

1;
