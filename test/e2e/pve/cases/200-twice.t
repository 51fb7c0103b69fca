#!/usr/bin/perl -T

# The same guest twice at once: the second backup is refused clearly, by PVE where it can, by us
# where PVE's locks were taken away, and the first is not disturbed.

use strict;
use warnings;

use Test::More;

use Guest;
use History;
use Leftovers;
use Meanwhile;
use Node;

my $MiB = 1024 * 1024;

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
add_vault('same', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 32 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=32M\nscsihw: virtio-scsi-pci\n");

my $history = History->new();
$history->backup(name => 'the first', modes => full('first', 'scsi0'));

# What a second vzdump says, started while a slow one runs. %options: locks that are taken away
# before.
sub second_backup {
    my ($storeid, @locks) = @_;

    my $said = '/var/tmp/said';
    unlink($said);
    my $is_read = sub { is_being_read(100) };
    my $second = once($is_read, sub {
        unlink('/run/vzdump.lock') if grep { $_ eq 'job' } @locks;
        qm('unlock', 100) if grep { $_ eq 'guest' } @locks;
        my ($output, $code) = vzdump(100, '--storage', $storeid, '--mode', 'snapshot', '--lockwait', '0',
            '--fleecing', 'enabled=1,storage=local');
        spew($said, "$output\nexit $code\n");
    }, 1);
    guest_writes('scsi0', 4 * $MiB, 24 * $MiB);
    my $name = @locks ? join(' and ', @locks) . ' lock taken away' : 'all locks in place';
    my ($output) = $history->backup(name => $name, args => ['--bwlimit', '768'],
        modes => incremental('scsi0'));
    waitpid($second, 0);
    my $text = slurp($said);
    unlike($text, qr/^exit 0$/m, "$name: the second is refused");
    like($output, qr/^INFO: Finished Backup of VM 100/m, "$name: the first is not disturbed");
    return $text;
}

like(second_backup('vault'), qr/can't acquire lock '[^']*vzdump.lock'/, 'by the lock of jobs');
like(second_backup('vault', 'job'), qr/^ERROR: Backup of VM 100 failed - VM is locked \(backup\)$/m,
    'by the lock of guests');
for my $storeid ('vault', 'same') {
    my $text = second_backup($storeid, 'job', 'guest');
    like($text, qr/^ERROR: Backup of VM 100 failed - [^\n]*qemu\/100[^\n]*\(E_GUEST_BUSY: /m,
        "through storage $storeid: by us");
    nothing_left("through storage $storeid");
}
guest_writes('scsi0', 9 * $MiB, 512);
$history->backup(name => 'alone again', modes => incremental('scsi0'));
$history->check('in the end');
$history->restore(200, 'the last');
nothing_left('in the end');

PVEHarness::stop_qemu(100);
finish();
