package PVE::Vzvault::TaskLog;

# The log that PVE wrote of a guest's backup, as the daemon keeps it: the bytes of the file, up to a
# bound. A longer one loses its middle, whole lines of it, because what was wanted stands at the
# beginning and what went wrong at the end.

use strict;
use warnings;

use constant MARK_BYTES => 100; # room for the line that says what is missing

# The content of a regular file in at most $max_bytes bytes; dies where it cannot be read.
sub content {
    my ($filename, $max_bytes) = @_;

    die "there is no file\n" if !defined($filename);
    die "$filename is not a regular file\n" if !-f $filename; # a pipe would keep us waiting
    open(my $fh, '<:raw', $filename) or die "opening $filename: $!\n";
    my $size = -s $fh;
    return _read($fh, $filename, $max_bytes) if $size <= $max_bytes;

    my $half = int(($max_bytes - MARK_BYTES) / 2);
    my $head = _read($fh, $filename, $half);
    seek($fh, $size - $half, 0) or die "reading $filename: $!\n";
    my $tail = _read($fh, $filename, $half);
    my $last_newline = rindex($head, "\n");
    $head = substr($head, 0, $last_newline + 1) if $last_newline >= 0;
    $tail = substr($tail, index($tail, "\n") + 1); # all of it where there is no newline
    my $cut = $size - length($head) - length($tail);
    my $newline = $last_newline >= 0 ? '' : "\n";

    return "${head}${newline}[... $cut bytes of this log are left out here ...]\n$tail";
}

sub _read {
    my ($fh, $filename, $bytes) = @_;

    my $content = '';
    while (length($content) < $bytes) {
        my $got = read($fh, $content, $bytes - length($content), length($content));
        die "reading $filename: $!\n" if !defined($got);
        last if $got == 0;
    }

    return $content;
}

1;
