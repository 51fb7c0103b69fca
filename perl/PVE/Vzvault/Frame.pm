package PVE::Vzvault::Frame;

# Frames of docs/protocol.md: a length of four bytes, big-endian, and a msgpack map of that length.
# Data::MessagePack is loaded by the first frame. Pure otherwise.

use strict;
use warnings;

use PVE::Vzvault::Error qw(raise);

use constant MAX_FRAME_BYTES => 16 * 1024 * 1024; # docs/protocol.md

# A message as the bytes of one frame. Integers must be integers and texts characters by now.
sub encode {
    my ($message) = @_;

    require Data::MessagePack;
    my $body = Data::MessagePack->new->utf8->canonical->pack($message);
    my $length = length($body);
    raise('E_FRAME_TOO_LARGE', "cannot send a message of $length bytes to vzvaultd")
        if $length > MAX_FRAME_BYTES;

    return pack('N', $length) . $body;
}

# Takes one whole frame off the front of $$buffer and returns its message; undef where more bytes
# are needed. The length is checked before anything waits for that many bytes.
sub decode {
    my ($buffer) = @_;

    return if length($$buffer) < 4;
    my $length = unpack('N', $$buffer);
    raise('E_FRAME_TOO_LARGE', "vzvaultd announced a message of $length bytes")
        if $length > MAX_FRAME_BYTES;
    raise('E_FRAME_INVALID', 'vzvaultd sent an empty message') if $length == 0;
    return if length($$buffer) < 4 + $length;

    require Data::MessagePack;
    my $body = substr($$buffer, 4, $length);
    substr($$buffer, 0, 4 + $length, '');
    my $message = eval { Data::MessagePack->new->utf8->unpack($body) };
    die $@ if $@ && $@ !~ m/ at \S+ line [0-9]+/; # not the decoder's, but a signal handler's
    raise('E_FRAME_INVALID', 'vzvaultd sent a message that cannot be decoded')
        if ref($message) ne 'HASH';

    return $message;
}

1;
