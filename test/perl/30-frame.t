#!/usr/bin/perl -T

use strict;
use warnings;

use Data::MessagePack;
use JSON::PP ();
use Test::More;

use PVE::Vzvault::Frame;
use PVE::Vzvault::Schema;

sub slurp {
    my ($path) = @_;

    open(my $fh, '<:raw', $path) or die "$path: $!\n";
    return do { local $/; <$fh> };
}

# decoded booleans as JSON::PP has them, so that they compare
sub plain {
    my ($value) = @_;

    return { map { $_ => plain($value->{$_}) } keys $value->%* } if ref($value) eq 'HASH';
    return [map { plain($_) } $value->@*] if ref($value) eq 'ARRAY';
    return $value ? JSON::PP::true() : JSON::PP::false()
        if ref($value) eq 'Data::MessagePack::Boolean';
    return $value;
}

sub decode_all {
    my ($bytes) = @_;

    my @messages;
    while (my $message = PVE::Vzvault::Frame::decode(\$bytes)) {
        push @messages, $message;
    }
    return (\@messages, $bytes);
}

# golden frames: those of our own encoder and those of the TypeScript one
my @golden = glob('test/contract/frames/*.bin');
ok(scalar(grep { m!/perl-! } @golden), 'there are golden frames of Perl');
for my $file (@golden) {
    my $expected = JSON::PP->new->utf8->decode(slurp($file =~ s/\.bin\z/.json/r));
    my $bytes = slurp($file);
    my ($messages, $rest) = decode_all($bytes);
    is_deeply([map { plain($_) } $messages->@*], [$expected], "decodes $file");
    is($rest, '', 'to its end');
    is(PVE::Vzvault::Frame::encode($messages->[0]), $bytes, 'and encodes it to the same bytes')
        if $file =~ m!/perl-!;
}

# what TypeScript sends fits our side of the contract
my %RESULT = (
    mechanism => 'backup.mechanism',
    'query-incremental' => 'backup.queryIncremental',
    'keep-log' => 'backup.keepLog',
    'restore-begin' => 'restore.begin',
    'restore-begin-container' => 'restore.begin',
    'open-archive' => 'restore.openArchive',
    'storage-list' => 'storage.list',
    'storage-status' => 'storage.status',
    'read-config' => 'storage.readConfig',
    'read-config-none' => 'storage.readConfig',
);
for my $name (sort keys %RESULT) {
    my ($messages) = decode_all(slurp("test/contract/frames/typescript-$name.bin"));
    my $result = $messages->[0]->{result};
    ok(eval { PVE::Vzvault::Schema::result($RESULT{$name}, $result) }, "$name is a fit answer")
        or diag($@);
}
for my $name (qw(next-dirty-regions archive-end)) {
    my ($requests) = decode_all(slurp("test/contract/frames/typescript-$name.bin"));
    ok(eval { PVE::Vzvault::Schema::client_params($requests->[0]->@{qw(method params)}) },
        "$name is a fit request")
        or diag($@);
}

# cut anywhere
my $frame = PVE::Vzvault::Frame::encode({ id => 1, result => { text => "z\x{fc}rich \x{1f642}" } });
for my $cut (0 .. length($frame) - 1) {
    my $part = substr($frame, 0, $cut);
    my ($messages, $rest) = decode_all($part);
    fail("a frame cut at $cut is not whole") if $messages->@* || $rest ne $part;
}
my ($both, $rest) = decode_all($frame . $frame . "\0\0");
is(scalar($both->@*), 2, 'decodes frames that arrived together');
is($rest, "\0\0", 'and leaves the start of the next');
is($both->[0]->{result}->{text}, "z\x{fc}rich \x{1f642}", 'texts are characters');

# what must not get in
sub refused {
    my ($code, $bytes, $name) = @_;

    eval { PVE::Vzvault::Frame::decode(\$bytes) };
    like($@, qr/\A[^\n]+ \($code: [^\n]+\)\n\z/, $name);
    return;
}
my $limit = PVE::Vzvault::Frame::MAX_FRAME_BYTES;
refused('E_FRAME_TOO_LARGE', pack('N', $limit + 1), 'refuses a length above the limit at once');
refused('E_FRAME_TOO_LARGE', "\xff\xff\xff\xff", 'refuses the largest length');
refused('E_FRAME_TOO_LARGE', 'HTTP/1.1', 'refuses another protocol');
refused('E_FRAME_INVALID', pack('N', 0), 'refuses an empty frame');
refused('E_FRAME_INVALID', pack('N/a', $_->[0]), "refuses $_->[1]")
    for ["\x01", 'a number'], ["\x90", 'a list'], ["\xc1", 'a byte that msgpack never uses'],
    ["\x81\xa1a", 'a map without its value'], ["\x80\x80", 'two values'], ["\xd6\0abcd", 'an ext'],
    ["\xdf\xff\xff\xff\xff", 'a map that claims four billion entries'],
    [("\x91" x 100_000) . "\xc0", 'lists nested without end'];
my $exactly = pack('N', $limit);
is(PVE::Vzvault::Frame::decode(\$exactly), undef, 'waits for a frame of exactly the limit');

eval { PVE::Vzvault::Frame::encode({ text => 'x' x $limit }) };
like($@, qr/\Acannot send a message .* \(E_FRAME_TOO_LARGE: /, 'sends no frame above the limit');

# PVE's signal handlers die; what they say must come through
{
    no warnings 'redefine';
    local *Data::MessagePack::unpack = sub { die "interrupted by signal\n" };
    eval { PVE::Vzvault::Frame::decode(\(my $bytes = $frame)) };
    is($@, "interrupted by signal\n", 'lets the die of a signal handler through');
}

done_testing();
