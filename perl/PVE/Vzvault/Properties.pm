package PVE::Vzvault::Properties;

# The properties of a storage of type vzvault in storage.cfg: which there are, and what they may be.
#
# Their names are global: one that another plugin has keeps PVE from starting. So ours begin with
# vzvault-, and those of PVE are only used. Loaded with the storage plugin, so it loads nothing.

use strict;
use warnings;

# Those of ours, as PVE's JSON schema.
sub definitions {
    return {
        'vzvault-chunk-size' => {
            description => "Size of the pieces in which VM disks are deduplicated. Fixed when the"
                . " repository is created; an existing repository keeps its own.",
            type => 'string',
            enum => ['256K', '512K', '1M', '4M'],
            default => '512K',
        },
        'vzvault-vm-mechanism' => {
            description => "How the disks of VMs are read for a backup. The mechanism 'file-handle'"
                . " needs the package libnbd-bin.",
            type => 'string',
            enum => ['nbd', 'file-handle'],
            default => 'nbd',
        },
        'vzvault-ct-restore' => {
            description => "How the files of containers are given back: as one tar file that"
                . " Proxmox VE checks and unpacks, or as a directory that it copies.",
            type => 'string',
            enum => ['tar', 'directory'],
            default => 'tar',
        },
        'vzvault-instance' => {
            description => "Random. Set when the storage is added, so that what is known of another"
                . " storage of the same name is not taken for its own.",
            type => 'string',
            pattern => '[0-9a-f]{32}',
        },
    };
}

# Those that a section may have.
sub options {
    return {
        path => { fixed => 1 },
        'vzvault-chunk-size' => { optional => 1, fixed => 1 },
        'vzvault-instance' => { optional => 1, fixed => 1 },
        (
            map { $_ => { optional => 1 } }
                qw(vzvault-vm-mechanism vzvault-ct-restore encryption-key nodes shared disable content
                content-dirs is_mountpoint create-base-path create-subdirs bwlimit prune-backups
                max-protected-backups)
        ),
    };
}

# What the schema of PVE cannot say of a section; dies where it cannot be.
sub check {
    my ($opts, $create) = @_;

    my $path = $opts->{path};
    die "illegal path for vzvault storage: $path\n"
        if $create && ($path eq '/' || $path =~ m!(?:\A|/)\.\.?(?:/|\z)!);
    my $is_mountpoint = $opts->{is_mountpoint} // 'no';
    die "is_mountpoint must be yes, no or an absolute path: $is_mountpoint\n"
        if $is_mountpoint !~ m!\A(?:[01]|on|off|yes|no|true|false)\z!i
        && $is_mountpoint !~ m!\A/[-/a-zA-Z0-9_.@]+\z!;

    return;
}

# The path of a section, untainted; '' where it is none.
sub path {
    my ($scfg) = @_;

    my ($path) = ($scfg->{path} // '') =~ m!\A(/[-/a-zA-Z0-9_.@]+)\z!;
    return $path // '';
}

# A value of vzvault-instance.
sub random_instance {
    open(my $random, '<:raw', '/dev/urandom') or die "/dev/urandom: $!\n";
    my $bytes = '';
    while (length($bytes) < 16) {
        sysread($random, $bytes, 16 - length($bytes), length($bytes)) or die "/dev/urandom: $!\n";
    }
    close($random);

    my ($instance) = unpack('H*', $bytes) =~ m/\A([0-9a-f]{32})\z/; # untaints
    return $instance;
}

1;
