#!/usr/bin/perl -T

use strict;
use warnings;

use Test::More;

use PVE::Vzvault::Error;

open(my $fh, '<', 'src/lib/errors.ts') or die "error table: $!\n";
my $source = do { local $/; <$fh> };

for my $code (sort keys %PVE::Vzvault::Error::HINT) {
    my ($quote, $hint) = $source =~ m/^\s*$code: \{[^}]*?hint:\s*(['"])(.*?)\1,?\s*\}/ms;
    is($PVE::Vzvault::Error::HINT{$code}, $hint, "the hint of $code is that of the table");
    my ($retryable) = $source =~ m/^\s*$code: \{\s*retryable:\s*(true|false)/m;
    is($PVE::Vzvault::Error::IS_RETRYABLE{$code} ? 'true' : 'false', $retryable,
        'and so is whether it is retryable');
}

# every code that the Perl side raises or looks for stands in the table
my @modules = (glob('perl/PVE/*/*.pm'), glob('perl/PVE/*/*/*.pm'));
cmp_ok(scalar(@modules), '>=', 9, 'finds the modules');
for my $module (@modules) {
    open(my $in, '<', $module) or die "$module: $!\n";
    my $text = do { local $/; <$in> };
    for my $code ($text =~ m/\bE_[A-Z_]+[A-Z]\b/g) {
        ok($source =~ m/^\s*$code: \{/m, "$module uses $code of the table");
    }
}

is(PVE::Vzvault::Error::line("a\r\n\tb\0\x{1b}[31mc\x7f"), 'a b [31mc ', 'a line has no controls');
is(length(PVE::Vzvault::Error::line('x' x 100_000)), 4096, 'and an end');
is(PVE::Vzvault::Error::line(undef), '', 'and may be nothing');

eval { PVE::Vzvault::Error::raise('E_DEADLINE', 'it was late') };
like($@, qr/\Ait was late \(E_DEADLINE: the call took longer [^\n]+\)\n\z/, 'raises one line');
is(PVE::Vzvault::Error::code_of($@), 'E_DEADLINE', 'whose code can be asked for');
is(PVE::Vzvault::Error::code_of($_), undef, "there is none in '$_'")
    for "interrupted by signal\n", 'x (E_DEADLINE: cut', "E_DEADLINE\n", '';
is_deeply(
    PVE::Vzvault::Error::fields("K\xc3\xb6nig (x)\n (E_DEADLINE: hint (h))\n"),
    { code => 'E_DEADLINE', message => "K\xf6nig (x)\n", hint => 'hint (h)', retryable => 1 },
    'and so can its parts, as characters',
);
ok(PVE::Vzvault::Error::is_interruption("got interrupted by signal\n"), 'knows a signal');
ok(!PVE::Vzvault::Error::is_interruption("uninterrupted by signals\n"), 'from other errors');
eval { PVE::Vzvault::Error::raise('E_INVENTED', 'x') };
like($@, qr/no such error code/, 'raises no code that it does not know');

done_testing();
