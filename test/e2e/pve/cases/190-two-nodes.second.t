#!/usr/bin/perl -T

# The second node of 190-two-nodes.

use strict;
use warnings;

use TwoNodes;

TwoNodes::run(101);
