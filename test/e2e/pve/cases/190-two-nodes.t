#!/usr/bin/perl -T

# Two nodes back a guest each up into one repository at the same time. The other half is beside this
# file.

use strict;
use warnings;

use TwoNodes;

TwoNodes::run(100);
