#!/usr/bin/perl -T

# Data and metadata of a container's backup that were damaged: restoring it fails both ways, and
# nothing wrong is restored; what does not need what was damaged is as good as before.

use strict;
use warnings;

use Test::More;

use Containers;
use Leftovers;
use Node;
use Tree;

my $MiB = 1024 * 1024;

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
populate(container(101, $Containers::BASE), $Containers::BASE);
is((backup_101())[1], 0, 'a backup') || diag(daemon_log());
my $as_it_was = manifest($Containers::ROOT, $Containers::BASE);
my %of_first = map { $_ => 1 } packs();
noise("var/new $_", $MiB) for 1 .. 8;
is((backup_101())[1], 0, 'another backup') || diag(daemon_log());
my ($first, $second) = listed();

sub packs {
    return map { m/\A(.+)\z/ } glob('/var/lib/vault/vzvault/packs/*/*');
}

sub damaged {
    my ($what, $path, $at, $error, $most) = @_;

    flip($path, $at);
    for my $mechanism (qw(tar directory)) {
        mechanism_is($mechanism);
        my ($output, $code, $root) = restore($second);
        isnt($code, 0, "$what, $mechanism: pct restore fails");
        like($output, $error, "$what, $mechanism: and says why");
        my @lines = $output =~ m/^ERROR: ([^\n]*\(E_\w+_DAMAGED: [^\n]+\))$/mg;
        ok(@lines >= 1 && @lines <= $most, "$what, $mechanism: with what the mount met")
            || diag($output);
        like($lines[0] // '', qr/in pack [0-9a-f]+\S* at offset/, "$what, $mechanism: and where");
        my @more = $output =~ m/^ERROR: and \d+ more errors/mg;
        is(scalar(@more), @lines == 8 ? 1 : 0, "$what, $mechanism: few of many");
        ok(!-e $root, "$what, $mechanism: nothing half-restored is left");
        nothing_left("$what, $mechanism");
    }
    like(daemon_log(), qr/E_(?:PACK|CHUNK|CATALOGUE)_DAMAGED/, "$what: the daemon's log has the code");
    my ($output, $code) = vzvault('verify', 'vault', '--no-quarantine'); # it is mended in its place
    is($code, 3, "$what: verify finds it");
    is_restored($first, "$what: the first", $as_it_was);
    flip($path, $at);
    is_sound("$what, mended");
    return;
}

my ($metadata, $data) = sort { -s $a <=> -s $b } grep { !$of_first{$_} } packs();
# Where some of a file could be read, tar takes the error for its end.
my $from_tar = qr/^tar: .*(?:Input\/output error|File shrank by)/m;
damaged('data', $data, 3 * $MiB, $from_tar, 2);
note('the pack of metadata has ' . (-s $metadata) . ' bytes');
damaged('the map of the data', $metadata, 100, $from_tar, 8);
damaged('the catalogue', $metadata, int((-s $metadata) * 0.6), qr/\(E_/, 2);

is((backup_101())[1], 0, 'the next backup succeeds');
is_restored((listed())[-1], 'the last');
finish();
