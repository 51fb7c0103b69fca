#!/usr/bin/perl -T

use strict;
use warnings;

use JSON::PP ();
use Scalar::Util qw(tainted);
use Test::More;

use Taint qw(taint);
use PVE::Vzvault::Volname;

open(my $fh, '<:raw', 'test/contract/archive-names.json') or die "vectors: $!\n";
my $vectors = JSON::PP->new->utf8->decode(do { local $/; <$fh> });

for my $valid ($vectors->{valid}->@*) {
    my $volume = taint($valid->{volume});
    my $parsed = PVE::Vzvault::Volname::parse($volume);
    is_deeply(
        $parsed,
        {
            volume => $valid->{volume},
            name => $valid->{volume} =~ s!^backup/!!r,
            type => $valid->{guestType},
            vmid => $valid->{vmid},
            ctime => $valid->{timeSeconds},
        },
        "parses $valid->{volume}",
    );
    is(scalar(grep { tainted($_) } values $parsed->%*), 0, 'and every part of it is untainted');
}

for my $invalid ($vectors->{invalid}->@*) {
    is(PVE::Vzvault::Volname::parse($invalid->{volume}), undef, "refuses $invalid->{why}");
}

is(PVE::Vzvault::Volname::parse(undef), undef, 'refuses no name at all');
ok(PVE::Vzvault::Volname::is_backup('backup/x.vma'), 'knows what claims to be a backup');
ok(!PVE::Vzvault::Volname::is_backup('import/backup/x.ova'), 'and what does not');

done_testing();
