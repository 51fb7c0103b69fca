#!/usr/bin/perl -T

# A daemon that is not there: one clear line everywhere, and nothing else suffers.

use strict;
use warnings;

use Test::More;

use Meanwhile;
use Node;

my $MiB = 1024 * 1024;
my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault', '--content', 'backup,iso');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 48 * $MiB,
    map { $_ * $MiB => pack('N', $_ * 2654435761 % 4294967296) x (256 * 1024) } 0 .. 39);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=48M\nscsihw: virtio-scsi-single\n");
my ($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
is($code, 0, 'a backup while there is a daemon') || diag(daemon_log());
my ($volid) = pvesm('list', 'vault') =~ m/^(vault:\S+)/m;

stop_daemon();
my $CODE = 'E_DAEMON_UNREACHABLE';
($output, $code) = pvesm('status');
one_line_error($output, $CODE, 'pvesm status says so once');
like($output, qr/^vault\s+vzvault\s+inactive/m, 'and lists the storage as inactive');
like($output, qr/^(?:local|target)\s+dir\s+active/m, 'beside the others');
my @prune = ('prune-backups', 'vault', '--keep-last', '1');
for my $call (['list', 'vault'], ['list', 'vault', '--content', 'iso'], ['extractconfig', $volid],
    [@prune, '--dry-run', '1'])
{
    ($output, $code) = pvesm($call->@*);
    isnt($code, 0, "pvesm $call->[0] fails");
    one_line_error($output, $CODE, 'with one line');
}
one_line_error(scalar(pvesm($_->@*)), $CODE, "the task of pvesm $_->[0] fails with one line")
    for ['free', $volid], [@prune];
($output, $code) = pvesm('path', $volid);
is($code, 0, 'pvesm path needs none');
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
isnt($code, 0, 'vzdump fails');
one_line_error($output, $CODE, 'with one line');
($output, $code) = qmrestore($volid, 200, '--storage', 'target');
isnt($code, 0, 'qmrestore fails');
like($output, qr/^cannot connect to [^\n]*\($CODE: /m, 'with a line');
is((pvesm('remove', 'vault'))[1], 0, 'the storage can still be removed');

# killed in the middle of a backup
start_daemon();
add_vault('vault', '/var/lib/vault');
my $is_read = sub { is_being_read(100) };
my $killer = once($is_read, sub { kill('KILL', daemon_pid()) }, 1);
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing, '--bwlimit', '4096');
waitpid($killer, 0);
isnt($code, 0, 'a backup whose daemon is killed fails');
like($output, qr/^ERROR: Backup of VM 100 failed - [^\n]*\(E_(?:CONNECTION_LOST|FRAME_TORN): /m,
    'with one line');
like($output, qr/^INFO: Backup job finished with errors/m, 'and the job goes on to its end');
unlike($output, qr/^WARN:/m, 'without further complaints');

stop_daemon();
start_daemon();
my @left = pvesm('list', 'vault') =~ m/^(vault:\S+)/mg;
is_deeply(\@left, [$volid], 'nothing half-written is listed, what was committed is');
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
is($code, 0, 'the next backup succeeds without hands') || diag(daemon_log());
($output, $code) = qmrestore($volid, 201, '--storage', 'target');
is($code, 0, 'and the old one can be restored') || diag(daemon_log());
same_disk('/var/lib/vz/images/100/vm-100-disk-0.raw',
    '/var/lib/target/images/201/vm-201-disk-0.raw', 'byte for byte');

PVEHarness::stop_qemu(100);
finish();
