package PVE::BackupProvider::Plugin::Base;

# Stands in for pve-storage's base class of backup providers.

use strict;
use warnings;

1;
