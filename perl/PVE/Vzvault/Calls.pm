package PVE::Vzvault::Calls;

# Calls of vzvaultd on behalf of one storage, with what the daemon says of them for the task log.
# Holds no connection, so it can be carried into any child of PVE's.

use strict;
use warnings;

use PVE::Vzvault::Client;
use PVE::Vzvault::Error qw(code_of);
use PVE::Vzvault::Section;

# $log is PVE's: sub ($level, $message).
sub new {
    my ($class, $storeid, $scfg, $log) = @_;

    return bless { storeid => $storeid, scfg => $scfg, log => $log }, $class;
}

# The checked result; dies with one line. See PVE::Vzvault::Client.
sub call {
    my ($self, $method, %params) = @_;

    return PVE::Vzvault::Client::call($method, \%params, log => $self->{log});
}

# The parameter that names the storage.
sub storage {
    my ($self) = @_;

    return (storage => PVE::Vzvault::Section::storage($self->{storeid}, $self->{scfg}));
}

# Ends something. Answers the result, undef where there is none: a failure is a warning. A daemon
# that is gone has nothing to clean up, and what failed by that has said so.
sub clean_up {
    my ($self, $method, %params) = @_;

    my $result = eval { $self->call($method, %params) };
    return $result if $result;
    my $error = $@;
    code_of($error) // die $error;
    $self->{log}->('warn', $error =~ s/\n//r) if !is_daemon_gone($error);

    return;
}

sub is_daemon_gone {
    my ($error) = @_;

    my $code = code_of($error) // '';
    return $code eq 'E_DAEMON_UNREACHABLE' || $code eq 'E_CONNECTION_LOST';
}

1;
