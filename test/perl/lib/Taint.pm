package Taint;

# Tainted values on demand. Dies where the test does not run under -T, since it would prove nothing
# then.

use strict;
use warnings;

use Exporter qw(import);
use Scalar::Util qw(tainted);

our @EXPORT_OK = qw(taint tainted_parts);

die "run this test under perl -T\n" if !${^TAINT};

open(my $fh, '<', '/proc/self/cmdline') or die "/proc/self/cmdline: $!\n";
sysread($fh, my $read, 1);
my $nothing = substr($read, 0, 0);

sub taint {
    my ($value) = @_;

    return $value . $nothing;
}

# The places in a structure of lists, maps and values where something is tainted.
sub tainted_parts {
    my ($value, $where) = @_;

    $where //= '';
    return map { tainted_parts($value->{$_}, "$where.$_") } sort keys $value->%*
        if ref($value) eq 'HASH';
    return map { tainted_parts($value->[$_], "$where\[$_]") } 0 .. $value->$#*
        if ref($value) eq 'ARRAY';
    return tainted($value) ? ($where) : ();
}

1;
