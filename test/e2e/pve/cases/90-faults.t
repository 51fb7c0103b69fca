#!/usr/bin/perl -T

# A storage that is full or read-only, and a backup that is damaged: one clear line each, nothing
# that was committed suffers, and the next run succeeds.

use strict;
use warnings;

use Test::More;

use Node;

my $MiB = 1024 * 1024;
my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');
my $DISK = '/var/lib/vz/images/100/vm-100-disk-0.raw';

sub mount_vault {
    my ($options) = @_;

    system('/bin/mount', '-t', 'tmpfs', '-o', $options, 'vault', '/var/lib/vault') == 0
        or die "mount failed\n";
    return;
}

sub backups { return [pvesm('list', 'vault') =~ m/^(vault:\S+)/mg] }

sub backup_fails {
    my ($code_re, $name) = @_;

    my ($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
    isnt($code, 0, "$name: vzdump fails");
    my @lines = $output =~ m/^(?:ERROR: Backup (?:of VM 100|job) failed - |could not )(.*)$/mg;
    is(scalar(@lines), 1, "$name: with one line") || diag($output);
    like($lines[0] // '', qr/\($code_re: /, "$name: that says why");
    unlike($output, qr/^WARN/m, "$name: without further complaints");
    return;
}

storage_cfg();
mkdir('/var/lib/vault') or die "mkdir: $!\n";
mount_vault('size=24m');
start_daemon();
add_vault('vault', '/var/lib/vault', '--is_mountpoint', '1');

# 40 MiB that nothing can compress
open(my $random, '<:raw', '/dev/urandom') or die "urandom: $!\n";
my $block = '';
read($random, $block, 40 * $MiB) == 40 * $MiB or die "urandom: $!\n";
fill($DISK, 48 * $MiB, 0 => $block);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=48M\nscsihw: virtio-scsi-single\n");

backup_fails('E_NO_SPACE', 'a full storage');
is_deeply(backups(), [], 'nothing half-written is listed');
like(pvesm('status'), qr/^vault\s+vzvault\s+active/m, 'the storage is still there');

mount_vault('remount,size=200m');
my ($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
is($code, 0, 'with more space the next backup succeeds') || diag(daemon_log());
my ($volid) = backups()->@*;

mount_vault('remount,ro');
backup_fails('E_READ_ONLY', 'a read-only storage');
is_deeply(backups(), [$volid], 'what is there can be listed');
one_line_error(scalar(pvesm('free', $volid)), 'E_READ_ONLY', 'but not removed');
($output, $code) = qmrestore($volid, 200, '--storage', 'target');
is($code, 0, 'and restored') || diag(daemon_log());
same_disk($DISK, '/var/lib/target/images/200/vm-200-disk-0.raw', 'byte for byte');
mount_vault('remount,rw');

# a byte of the disk's data
my ($pack) = map { m/\A(.+)\z/ } sort { -s $b <=> -s $a } glob('/var/lib/vault/vzvault/packs/*/*');
flip($pack, 3 * $MiB);
($output, $code) = qmrestore($volid, 202, '--storage', 'target');
isnt($code, 0, 'damaged data is not restored');
my @met = $output =~ m/^ERROR: (reading [^\n]*\(E_CHUNK_DAMAGED: [^\n]+\))$/mg;
ok(@met >= 1 && @met <= 3, 'and lines say what is damaged, and what can be done') || diag($output);
like($met[0] // '', qr/\bof drive-scsi0\.raw: /, 'and of which disk');
flip($pack, 3 * $MiB);

# a snapshot document that is cut short, seen by a daemon that has not read it before
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
is($code, 0, 'another backup') || diag(daemon_log());
my $newer = backups()->[1];
my ($snapshot) = (sort glob('/var/lib/vault/vzvault/snapshots/qemu/100/*/snapshot'))[-1] =~ m/(.*)/;
truncate($snapshot, 100) or die "$snapshot: $!\n";
stop_daemon();
start_daemon();
my @sizes = pvesm('list', 'vault') =~ m/^vault:\S+\s+vzv\s+backup\s+(\d+)\s+100$/mg;
is_deeply(\@sizes, [48 * $MiB, 0], 'a damaged backup is not hidden');
($output, $code) = pvesm('prune-backups', 'vault', '--keep-last', '1', '--dry-run', '1');
my @marks = $output =~ m/^vault:\S+\s+qemu\/100\s+(\w+)$/mg;
is_deeply(\@marks, [qw(keep keep)], 'it makes no good one go');
($output, $code) = qmrestore($newer, 201, '--storage', 'target');
isnt($code, 0, 'it is not restored');
like($output, qr/^[^\n]*\(E_SNAPSHOT_DAMAGED: /m, 'and a line says why');
is((api('PVE::API2::Storage::Content', 'info', volume => $newer))->{format}, 'vzv', 'it has a page');
pvesm('free', $newer);
is_deeply(backups(), [$volid], 'it can be removed, the other is left');

PVEHarness::stop_qemu(100);
finish();
