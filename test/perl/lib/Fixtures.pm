package Fixtures;

# What the tests of the storage plugin share: a storage, backups in it, and a daemon for a piece of code.

use strict;
use warnings;

use Exporter qw(import);

use FakeDaemon;
use Taint qw(taint);
use PVE::INotify;
use PVE::Storage;
use PVE::Storage::Custom::VzvaultPlugin;
use PVE::Tools;

our @EXPORT = qw($PLUGIN $VOLUME $SCFG $STORAGE $PARENT $true $false entry volid with_daemon);

our $PLUGIN = 'PVE::Storage::Custom::VzvaultPlugin';
our $VOLUME = 'backup/vzdump-qemu-100-2026_11_22-04_17_14.vzv';
our $SCFG = { type => 'vzvault', path => taint('/mnt/vault'), content => { backup => 1 } };
our $STORAGE = { id => 'vault', path => '/mnt/vault', isMountpoint => '' }; # as it goes out
our $PARENT = \@PVE::Storage::Plugin::CALLS; # what reached the parent class
our ($true, $false) = (Data::MessagePack::true(), Data::MessagePack::false());

# A list entry of docs/protocol.md for a backup that began at $time.
sub entry {
    my ($time, %more) = @_;

    my @t = gmtime($time);
    my $name = sprintf('%04d_%02d_%02d-%02d_%02d_%02d', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0]);
    my ($type, $vmid) = ($more{guestType} // 'qemu', $more{vmid} // 100);
    return {
        volume => "backup/vzdump-$type-$vmid-$name.vzv",
        guestType => $type,
        vmid => $vmid,
        timeSeconds => $time,
        sizeBytes => 1024,
        addedBytes => 512,
        notes => '',
        protected => $false,
        verifyState => 'none',
        %more,
    };
}

sub volid { return "vault:$_[0]->{volume}" }

# Runs $code with a daemon that answers from $table; returns the daemon's requests as [method,
# params].
sub with_daemon {
    my ($table, $code) = @_;

    my $daemon = FakeDaemon->start($table);
    $code->();
    my @calls = map { [$_->@{qw(method params)}] } $daemon->calls->@*;
    $daemon->stop();
    return \@calls;
}

1;
