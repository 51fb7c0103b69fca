#!/usr/bin/perl -T

# Retention: dry and real, by pvesm and at the end of vzdump; protected backups stay.

use strict;
use warnings;

use Test::More;

use Node;

my $MiB = 1024 * 1024;
my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');

storage_cfg();
start_daemon();
is((pvesm('add', 'vzvault', 'vault', '--path', '/var/lib/vault'))[1], 0, 'a storage');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 8 * $MiB, $MiB => 'data' x 100_000);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=8M\nscsihw: virtio-scsi-single\n");

my $backups = sub { return [pvesm('list', 'vault') =~ m/^(vault:\S+)/mg] };
for my $n (1 .. 3) {
    my ($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
    is($code, 0, "backup $n") || diag(daemon_log());
    like($output, qr/INFO: prune older backups|INFO: Finished Backup/, 'finishes');
}
my @all = $backups->()->@*;
is(scalar(@all), 3, 'there are three');
api('PVE::API2::Storage::Content', 'updateattributes', volume => $all[0], protected => 1);

my @prune = ('prune-backups', 'vault', '--keep-last', '1');
my ($output, $code) = pvesm(@prune, '--dry-run', '1');
is($code, 0, 'a dry run');
my %mark = $output =~ m/^(vault:\S+)\s+qemu\/100\s+(\w+)$/mg;
is_deeply(\%mark, { $all[0] => 'protected', $all[1] => 'remove', $all[2] => 'keep' },
    'shows what would happen');
is_deeply($backups->(), \@all, 'and changes nothing');

($output, $code) = pvesm(@prune);
is($code, 0, 'a real one');
is_deeply($backups->(), [@all[0, 2]], 'removes what was shown');

($output, $code) = vzdump(100, '--storage', 'vault', @fleecing, '--prune-backups', 'keep-last=1');
is($code, 0, 'vzdump with retention') || diag(daemon_log());
like($output, qr/^INFO: removing backup '\Q$all[2]\E'$/m, 'names what it removes');
like($output, qr/^INFO: pruned 1 backup\(s\) not covered by keep-retention policy$/m,
    'and counts it');
my @left = $backups->()->@*;
is(scalar(@left), 2, 'two are left');
is($left[0], $all[0], 'the protected one');
isnt($left[1], $all[2], 'and the new one');

is((pvesm(@prune, '--vmid', '999'))[1], 0, 'nothing to prune');
is_deeply($backups->(), \@left, 'prunes nothing');

PVEHarness::stop_qemu(100);
finish();
