package PVE::Vzvault::Type;

# Types of values that travel between PVE and the daemon. A type is a function (value, name of the
# place) that returns a clean copy or dies. Clean means: only what matched a pattern, hence
# untainted; integers are integers and texts are characters, whatever PVE or the socket made of
# them. Fields that a record does not name are dropped.
#
# No eval is used to collect errors: one would also catch the die of PVE's signal handlers.

use strict;
use warnings;

use Exporter qw(import);
use Scalar::Util qw(looks_like_number);

use PVE::Vzvault::Error qw(raise);

use constant MAX_INTEGER => 2**53 - 1; # what a double, hence the daemon, holds exactly

our @EXPORT_OK = qw(MAX_INTEGER bool_from_wire bool_to_wire integer list_of map_of nullable pattern
    record tuple unfit);

# Whose mistake a value that fits no type is: [error code, what could not be done].
our $BLAME;

sub unfit {
    my ($why) = @_;

    return raise($BLAME->[0], "$BLAME->[1]: $why");
}

sub pattern {
    my ($what, $re, $max_chars) = @_;

    my $whole = qr/\A($re)\z/;
    return sub {
        my ($value, $where) = @_;
        unfit("$where is not $what") if !defined($value) || ref($value) || $value !~ $whole;
        my $clean = $1;
        unfit("$where is too long") if defined($max_chars) && length($clean) > $max_chars;
        utf8::upgrade($clean); # else the encoder would send latin1 bytes
        return $clean;
    };
}

sub integer {
    my ($min, $max) = @_;

    return sub {
        my ($value, $where) = @_;
        unfit("$where is not an integer") if ref($value) || !looks_like_number($value // '');
        my ($digits) = $value =~ m/\A([0-9]{1,15})\z/;
        if (!defined($digits)) { # negative, or a double that JavaScript sent
            ($digits) = sprintf('%.0f', $value) =~ m/\A(-?[0-9]{1,16})\z/;
            unfit("$where is not an integer") if !defined($digits) || $digits != $value;
        }
        my $clean = 0 + $digits;
        unfit("$where is out of range") if $clean < $min || $clean > $max;
        return $clean;
    };
}

sub nullable {
    my ($type) = @_;

    return sub {
        my ($value, $where) = @_;
        return undef if !defined($value); ## no critic (ProhibitExplicitReturnUndef): nil, not ()
        return $type->($value, $where);
    };
}

sub list_of {
    my ($type, $max) = @_;

    return sub {
        my ($value, $where) = @_;
        unfit("$where is not a list") if ref($value) ne 'ARRAY';
        unfit("$where has too many entries") if $value->@* > $max;
        my $n = 0;
        return [map { $type->($_, "$where\[" . $n++ . ']') } $value->@*];
    };
}

# A list of as many entries as there are types.
sub tuple {
    my (@types) = @_;

    return sub {
        my ($value, $where) = @_;
        unfit("$where is not a list of " . @types)
            if ref($value) ne 'ARRAY' || $value->@* != @types;
        return [map { $types[$_]->($value->[$_], "$where\[$_]") } 0 .. $#types];
    };
}

sub map_of {
    my ($key_type, $type, $max) = @_;

    return sub {
        my ($value, $where) = @_;
        unfit("$where is not a map") if ref($value) ne 'HASH';
        unfit("$where has too many entries") if keys $value->%* > $max;
        return {
            map { $key_type->($_, "a key of $where") => $type->($value->{$_}, "$where\{$_}") }
            sort keys $value->%*
        };
    };
}

# Fields whose name ends in '?' may be absent.
sub record {
    my (%fields) = @_;

    my @fields = map { [s/\?\z//r, m/\?\z/ ? 1 : 0, $fields{$_}] } sort keys %fields;
    return sub {
        my ($value, $where) = @_;
        unfit("$where is not a map") if ref($value) ne 'HASH';
        my $clean = {};
        for my $field (@fields) {
            my ($name, $optional, $type) = $field->@*;
            next if $optional && !defined($value->{$name});
            unfit("$where has no '$name'") if !exists($value->{$name});
            $clean->{$name} = $type->($value->{$name}, "$where.$name");
        }
        return $clean;
    };
}

# Booleans are objects of Data::MessagePack, which is loaded before anything is encoded or decoded.
sub bool_from_wire {
    my ($value, $where) = @_;

    unfit("$where is not a boolean") if ref($value) ne 'Data::MessagePack::Boolean';
    return $value ? 1 : 0;
}

sub bool_to_wire {
    my ($value) = @_;

    return $value ? Data::MessagePack::true() : Data::MessagePack::false();
}

1;
