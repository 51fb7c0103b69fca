package History;

# The backups of one VM beside copies of its disks as they were when each was made.
#
# backup() takes the copies and runs vzdump; check() compares every backup that is listed with its
# copy, byte for byte, through `vzvault mount`, and finds a backup that should be there and is not,
# or is and should not. restore() does the same for the newest one with qmrestore.
#
# The disks must be raw files and the guest must write nothing while a copy is made: QEMU writes
# them through the page cache, so a copy sees all that it has written.

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(make_path remove_tree);
use Test::More;

use Meanwhile;
use Node;

our @EXPORT = qw(full incremental);

my $KEPT = '/var/tmp/history';
my $copies_made = 0;

# What the task log says of a drive. Why a drive is read in full, by a short name for it:
# docs/operations.md.
my %WHY = (
    first => 'no earlier backup of this guest through this storage is known',
    restarted => 'QEMU runs anew since the last backup',
    repository => 'the last backup through this storage went into another repository',
    missing => 'the last backup is not in the repository any more',
    damaged => 'the last backup was found damaged',
    disk => 'the disk was not in the last backup',
    resized => 'the disk has another size than in the last backup',
    tpm => 'TPM state is always read whole',
    lost => 'its dirty bitmap is gone',
);

# The mode of all of these slots, for backup(): in full, and why.
sub full {
    my ($why, @slots) = @_;

    return { map { $_ => "full: " . ($WHY{$why} // die "no such reason: $why\n") } @slots };
}

sub incremental {
    my (@slots) = @_;

    return { map { $_ => 'incremental: only what changed since qemu/' } @slots };
}

# %options: vmid (100), storage ('vault'), args: arguments of vzdump beside the usual ones,
# excluded: a hash of the devices that are not backed up.
sub new {
    my ($class, %options) = @_;

    my $self = { vmid => 100, storage => 'vault', args => [], excluded => {}, %options, copies => {} };
    return bless $self, $class;
}

# Device => path of its image, from the VM's configuration.
sub disks {
    my ($self) = @_;

    my $cfg = PVE::Storage::config();
    my $config = slurp("/etc/pve/qemu-server/$self->{vmid}.conf") =~ s/^\[.*//msr;
    my %volid = $config =~ m/^((?:scsi|virtio|efidisk|tpmstate)\d+): ([^,\s]+)/mg;
    my $disks = {};
    for my $slot (keys %volid) {
        my ($path) = scalar(PVE::Storage::path($cfg, $volid{$slot})) =~ m/\A(.+)\z/;
        my $device = $slot eq 'tpmstate0' ? 'drive-tpmstate0-backup' : "drive-$slot";
        $disks->{$device} = $path if !$self->{excluded}->{$device};
    }
    return $disks;
}

# Runs vzdump and remembers what the disks hold. %options:
#   name      for the tests' names
#   args      more arguments of vzdump
#   fleecing  the storage for fleecing images (local)
#   modes     what the task log must say: full() or incremental(), or several of them in one hash
#   fails     a pattern that the output must match, and vzdump must fail
#   may_fail  both is right
#   commits   whether there is a backup afterwards (default: unless it fails)
#   env       { NAME => VALUE } for vzdump
# Returns the output and the volume id (undef where none is to be there).
sub backup {
    my ($self, %options) = @_;

    my $name = $options{name} // 'a backup';
    my $commits = $options{commits} // !$options{fails};
    my $copies = $self->_copy_disks();
    my $fleecing = 'enabled=1,storage=' . ($options{fleecing} // 'local');
    my @mode = ('--mode', 'snapshot', '--fleecing', $fleecing);
    my ($output, $code) = do {
        local %ENV = (%ENV, ($options{env} // {})->%*);
        vzdump($self->{vmid}, '--storage', $self->{storage}, @mode, $self->{args}->@*,
            ($options{args} // [])->@*);
    };
    if ($options{fails}) {
        isnt($code, 0, "$name: vzdump fails");
        like($output, $options{fails}, "$name: and says why");
    } elsif (!$options{may_fail}) {
        is($code, 0, "$name: vzdump succeeds") || diag(daemon_log());
    }
    my ($archive) = $output =~ m/creating vzvault archive '([^']+)'/;
    my $volid = defined($archive) && $commits ? "$self->{storage}:backup/$archive" : undef;
    if (defined($volid)) {
        $self->{copies}->{"backup/$archive"} = $copies;
    } else {
        remove_tree($copies->{directory});
        fail("$name: no archive was made") if $commits;
    }
    my %seen = $output =~ m/^INFO: drive-([a-z]+\d+)[a-z-]*:.* mode (.+)$/mg;
    my $modes = $options{modes} // {};
    like($seen{$_} // 'nothing', qr/\A\Q$modes->{$_}\E/, "$name: $_ is $modes->{$_}")
        for sort keys $modes->%*;

    return ($output, $volid);
}

# A backup that is no longer to be there.
sub forget {
    my ($self, $volid) = @_;

    remove_tree((delete $self->{copies}->{ $volid =~ s/\A.*://r })->{directory});
    return;
}

# All backups, oldest first.
sub volids {
    my ($self) = @_;

    return map { "$self->{storage}:$_" } sort keys $self->{copies}->%*;
}

# Compares all backups that are listed with their copies: one test.
sub check {
    my ($self, $name) = @_;

    my @wrong;
    my ($list) = pvesm('list', $self->{storage}, '--vmid', $self->{vmid});
    my @listed = $list =~ m/^($self->{storage}:\S+)/mg;
    my @expected = $self->volids();
    push @wrong, "listed are: @listed\ninstead of: @expected" if "@listed" ne "@expected";
    push @wrong, $self->_differences() if @listed;

    return ok(!@wrong, "$name: all backups are as the disks were") || diag(join("\n", @wrong));
}

# Restores the newest backup as the VM $target and compares its disks. Every byte of the repository is
# verified beside.
sub restore {
    my ($self, $target, $name) = @_;

    my ($volume) = reverse(sort keys $self->{copies}->%*);
    my $volid = "$self->{storage}:$volume";
    my ($output, $code) = qmrestore($volid, $target, '--storage', 'target', '--force', '1');
    is($code, 0, "$name: qmrestore") || diag(daemon_log());
    my $restored = History->new(vmid => $target)->disks();
    my $copies = $self->{copies}->{$volume}->{disks};
    same_disk($copies->{$_}, $restored->{$_}, "$name: $_ is the same") for sort keys $copies->%*;
    unlink(values $restored->%*, "/etc/pve/qemu-server/$target.conf");
    my ($verified, $verify_code) = vzvault('verify', $self->{storage});
    is($verify_code, 0, "$name: the repository is sound") || diag($verified);

    return;
}

sub _copy_disks {
    my ($self) = @_;

    my $directory = "$KEPT/" . $copies_made++;
    make_path($directory);
    my ($disks, $copies) = ($self->disks(), {});
    for my $device (keys $disks->%*) {
        $copies->{$device} = "$directory/$device.raw";
        system('/bin/cp', '--sparse=always', $disks->{$device}, $copies->{$device}) == 0
            or die "cp failed\n";
    }
    return { directory => $directory, disks => $copies };
}

# One text for each disk of a backup that is not what its copy is.
sub _differences {
    my ($self) = @_;

    my @wrong;
    my $mount = '/var/tmp/all-backups';
    make_path($mount);
    my ($output, $code) = vzvault('mount', $self->{storage}, $mount);
    return "cannot mount: $output" if $code != 0;
    for my $volume (sort keys $self->{copies}->%*) {
        my ($vmid, @when) = $volume =~ m/-(\d+)-(\d+)_(\d+)_(\d+)-(\d+)_(\d+)_(\d+)\.vzv\z/
            or die "odd name: $volume\n";
        my $directory = sprintf('%s/qemu/%s/%s-%s-%sT%s:%s:%sZ', $mount, $vmid, @when);
        my $copies = $self->{copies}->{$volume}->{disks};
        my @there = map { m!/(drive-.+)\.raw\z! } glob("$directory/drive-*.raw");
        my @expected = sort keys $copies->%*;
        push @wrong, "$volume has the disks @there instead of @expected" if "@there" ne "@expected";
        for my $device (@there) {
            next if !$copies->{$device};
            my $difference = `/usr/bin/cmp $copies->{$device} $directory/$device.raw 2>&1`;
            push @wrong, "$volume: $difference" if $? != 0;
        }
    }
    system('/bin/umount', $mount) == 0 or push @wrong, 'cannot unmount';
    wait_until(10, sub { !process(qr!\A\S*(?:vzvault-fuse|node \S+/cli\.js keep-session) !) });

    return @wrong;
}

1;
