package PVE::Vzvault::Error;

# The errors that the Perl side raises itself, and the one form in which any error reaches PVE: one
# line "what was being done to what, and why it failed (CODE: what the administrator can do)".
#
# The codes are a part of the closed table in src/lib/errors.ts; a test holds the hints equal.
# Errors of the daemon bring their own hint along.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(code_of is_interruption raise);

use constant MAX_LINE_CHARS => 4096; # longer ones are cut: a log line is for reading

our %HINT = (
    E_FRAME_TORN => 'the connection ended inside a message; run the task again',
    E_FRAME_TOO_LARGE =>
        'a message exceeds the limit of docs/protocol.md; make plugin and daemon the same version',
    E_FRAME_INVALID =>
        'a message is not valid msgpack for this protocol; make plugin and daemon the same version',
    E_PROTOCOL_ORDER => 'a message came out of order; make plugin and daemon the same version',
    E_METHOD_UNKNOWN =>
        'the peer does not know this call; make plugin and daemon the same version',
    E_ARGUMENT_INVALID => 'an argument is not acceptable; see the message for which',
    E_DEADLINE =>
        'the call took longer than allowed; look for a slow or hung mount, then try again',
    E_CONNECTION_LOST =>
        'vzvaultd went away; see journalctl -u vzvaultd, then run the task again',
    E_DAEMON_UNREACHABLE => 'vzvaultd does not answer; run systemctl status vzvaultd',
    E_UNSUPPORTED => 'this version of vzvault cannot do that; see the message',
    E_SOURCE_BITMAP => 'what changed on this disk is not known for sure; run the backup again, it'
        . ' reads the whole disk',
    E_ARCHIVE_SOURCE =>
        q{tar failed to read the container's files; its messages stand in the task log},
    E_CATALOGUE_DAMAGED =>
        q{the catalogue of a container's archive is damaged; restore another backup and run vzvault}
        . ' verify',
    E_KEY_MISSING => 'the repository is encrypted and this node has no key for it; give the'
        . q{ storage's encryption-key or VZVAULT_KEY_FILE},
    E_STORAGE_TIMEOUT => 'the storage does not answer; check the mount and its server',
);

# Where trying again can help; a part of the table too.
our %IS_RETRYABLE = map { $_ => 1 } qw(E_FRAME_TORN E_DEADLINE E_CONNECTION_LOST
    E_DAEMON_UNREACHABLE E_SOURCE_BITMAP E_ARCHIVE_SOURCE E_STORAGE_TIMEOUT);

# Dies with a code of the table.
sub raise {
    my ($code, $message) = @_;

    my $hint = $HINT{$code} // die "no such error code: $code\n";
    die "$message ($code: $hint)\n";
}

# Dies with an error that the daemon sent: a map of code, message and hint.
sub pass_on {
    my ($error) = @_;

    my ($code) = ($error->{code} // '') =~ m/\A(E_[A-Z][A-Z_]{1,40})\z/;
    raise('E_FRAME_INVALID', 'vzvaultd answered with an error that has no code') if !$code;
    my $message = line($error->{message});
    my $hint = line($error->{hint});
    die "$message ($code: $hint)\n";
}

# The code in the text of an error; undef where it is none of ours, but of PVE or a signal handler.
sub code_of {
    my ($error) = @_;

    my $fields = fields($error);
    return $fields ? $fields->{code} : undef;
}

# The parts of an error that was raised here: code, message and hint, all of them characters, and
# whether it is retryable. undef where it is none of ours.
sub fields {
    my ($error) = @_;

    my ($message, $code, $hint) = $error =~ m/\A(.*) \((E_[A-Z_]+): ([^\n]*)\)\n\z/s or return;
    utf8::decode($_) || utf8::upgrade($_) for $message, $hint;
    my $retryable = $IS_RETRYABLE{$code} // 0;

    return { code => $code, message => $message, hint => $hint, retryable => $retryable };
}

# The error, with more of what the administrator can do.
sub advise {
    my ($error, $advice) = @_;

    return $error =~ s/\)\n\z/; $advice)\n/r if fields($error);
    return $error =~ s/\n?\z/; $advice\n/r;
}

# Whether the die is that of PVE's signal handlers (PVE/VZDump/QemuServer.pm, archive_external),
# which nothing of ours may hold up: it ends the whole job.
sub is_interruption {
    my ($error) = @_;

    return $error =~ m/\binterrupted by signal\b/ ? 1 : 0;
}

# One printable line out of any text, cut to a sane length.
sub line {
    my ($value) = @_;

    my $line = ($value // '') =~ s/[\x00-\x1f\x7f]+/ /gr;
    my ($clean) = substr($line, 0, MAX_LINE_CHARS) =~ m/\A(.*)\z/;
    return $clean;
}

1;
