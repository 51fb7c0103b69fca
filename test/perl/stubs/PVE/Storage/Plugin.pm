package PVE::Storage::Plugin;

# Stands in for pve-storage's base class: records what reaches it.

use strict;
use warnings;

our @CALLS;

sub activate_storage {
    my ($class, $storeid, $scfg, $cache) = @_;

    push @CALLS, ['Plugin::activate_storage', $storeid, $scfg];
    return;
}

sub deactivate_storage {
    return;
}

sub config_aware_base_mkdir {
    my ($class, $scfg, $path) = @_;

    push @CALLS, ['config_aware_base_mkdir', $path];
    mkdir($path) if $scfg->{'create-base-path'} // 1;
    return;
}

1;
