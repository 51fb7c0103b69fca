#!/usr/bin/perl

# Writes test/fixtures/retention/vectors.json: random series of backups and what Proxmox VE's own code
# (PVE::Storage::prune_mark_backup_group) would do with them. Needs that code in @INC; run it on a node:
#
#   perl tools/make-retention-vectors.pl SEED > test/fixtures/retention/vectors.json

use strict;
use warnings;

use JSON::PP ();
use POSIX qw(tzset);

use PVE::Storage;

my ($seed) = @ARGV;
srand($seed // die "usage: make-retention-vectors.pl SEED\n");

my @ZONES = qw(UTC Europe/Vienna America/St_Johns Australia/Lord_Howe Pacific/Apia);
my @RULES = qw(last hourly daily weekly monthly yearly);
my $DAY = 86_400;

# How far apart backups are, in seconds: minutes, hours, days, weeks, months.
my @STEPS = (600, 3600, 6 * 3600, $DAY, 7 * $DAY, 30 * $DAY);

# Where calendars do something odd: changes of the clock, turns of years and of ISO years, a day that one zone skipped.
my @ODD = (1_761_444_000, 1_774_746_000, 1_767_225_600, 1_798_761_600, 1_609_459_200, 1_325_239_200);

sub series {
    my $time = (rand() < 0.5 ? $ODD[ int(rand(@ODD)) ] : 1_500_000_000 + int(rand(300_000_000)));
    my $step = $STEPS[ int(rand(@STEPS)) ];
    my %times;
    for (1 .. 1 + int(rand(30))) {
        $times{$time} = 1;
        $time -= 1 + int(rand(2 * $step));
    }
    my @times = sort { rand() <=> 0.5 } keys %times;
    return map { { ctime => 0 + $_, rand() < 0.1 ? (mark => 'protected') : () } } @times;
}

sub rules {
    my %keep;
    for my $rule (@RULES) {
        $keep{$rule} = int(rand(6)) if rand() < 0.4;
    }
    return \%keep;
}

my @vectors;
for my $number (0 .. 249) {
    my $zone = $ZONES[ $number % @ZONES ];
    local $ENV{TZ} = $zone;
    tzset();
    my ($keep, @group) = (rules(), series());
    PVE::Storage::prune_mark_backup_group(\@group, { map { ("keep-$_" => $keep->{$_}) } keys $keep->%* });
    push @vectors, {
        zone => $zone,
        keep => $keep,
        # time, and the mark's first letter
        snapshots => [map { [$_->{ctime}, substr($_->{mark}, 0, 1)] } @group],
    };
}

my $json = JSON::PP->new->canonical;
print "[\n", join(",\n", map { $json->encode($_) } @vectors), "\n]\n";
