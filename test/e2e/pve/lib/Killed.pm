package Killed;

# A vzdump of VM 100 that is killed in the middle, and what an administrator does afterwards.

use strict;
use warnings;

use Exporter qw(import);
use JSON ();
use Test::More;
use Time::HiRes qw(sleep);

use Meanwhile;
use Node;

our @EXPORT = qw(kill_vzdump tidy_up);

# Kills processes of vzdump, and then what PVE started for the mechanism file-handle, which would keep
# vzdump's output open for ever.
sub kill_vzdump {
    kill('KILL', @_);
    sleep(1);
    for my $mount (slurp('/proc/mounts') =~ m!^\S+ (/run/qemu-server/\S+) fuse!mg) {
        system('/bin/umount', '-l', $mount);
    }
    while (my $pid = process(qr!\A\S*(?:nbdfuse|nbdinfo) !)) {
        kill('KILL', $pid);
        sleep(1);
    }
    return;
}

# PVE's lock of the guest, and what QEMU has of a backup whose vzdump is gone.
sub tidy_up {
    is((qm('unlock', 100))[1], 0, 'qm unlock');
    PVE::QemuServer::Monitor::mon_cmd(100, 'nbd-server-stop');
    PVE::QemuServer::Monitor::mon_cmd(100, 'backup-access-teardown',
        'target-id' => 'snapshot-access:vault', success => JSON::false());
    my @directories = (glob('/run/qemu-server/100.backup-access.*'), glob('/var/tmp/vzdumptmp*'));
    system('/bin/rm', '-rf', map { m/(.+)/ } @directories) == 0 or die "rm failed\n";
    return;
}

1;
