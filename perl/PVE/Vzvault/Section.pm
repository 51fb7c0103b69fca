package PVE::Vzvault::Section;

# A section of storage.cfg as docs/protocol.md's `storage`: what the daemon needs of it, in the form
# that PVE::Vzvault::Schema checks. Pure.

use strict;
use warnings;

sub storage {
    my ($storeid, $scfg) = @_;

    my $is_mountpoint = $scfg->{is_mountpoint} // 'no';
    if ($is_mountpoint =~ m/\A(?:0|off|no|false)\z/i) {
        $is_mountpoint = '';
    } elsif ($is_mountpoint =~ m/\A(?:1|on|yes|true)\z/i) {
        $is_mountpoint = 'yes';
    }

    my $section = { id => $storeid, path => $scfg->{path}, isMountpoint => $is_mountpoint };
    if (my $size = $scfg->{'vzvault-chunk-size'}) {
        my ($number, $unit) = $size =~ m/\A([0-9]{1,3})([KM])\z/;
        $section->{chunkSizeBytes} = $number * ($unit eq 'K' ? 1024 : 1024 * 1024);
    }

    my $vm_mechanism = $scfg->{'vzvault-vm-mechanism'};
    $section->{vmMechanism} = $vm_mechanism if defined($vm_mechanism);
    my $instance = $scfg->{'vzvault-instance'};
    $section->{instance} = $instance if defined($instance);

    my ($key) = ($scfg->{'encryption-key'} // '') =~ m/\A([0-9a-f]{32})\z/; # its fingerprint
    $section->{encryptionKey} = $key if defined($key);

    return $section;
}

1;
