package PVE::INotify;

# Stands in for pve-common's module: just what the plugin asks of it.

use strict;
use warnings;

sub nodename {
    return 'pve1';
}

1;
