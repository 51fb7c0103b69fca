#!/usr/bin/perl -T

# An encrypted storage: its key is made, lost, wrong and given back through Proxmox VE's own tools.

use strict;
use warnings;

use Test::More;

use Node;

my $MiB = 1024 * 1024;
my $DISK = '/var/lib/vz/images/100/vm-100-disk-0.raw';
my $KEY = '/etc/pve/priv/storage/vault.enc';
my @ADD = ('add', 'vzvault', 'vault', '--path', '/var/lib/vault', '--content', 'backup');

delete $ENV{VAULT_ENCRYPTED}; # says what key there is by itself
storage_cfg();
start_daemon();

my ($output, $code) = pvesm(@ADD, '--encryption-key', 'autogen');
is($code, 0, 'a storage with a key that is made') || diag($output);
is((stat($KEY))[2] & 0777, 0600, 'its file is for root only');
my $key = slurp($KEY);
my ($fingerprint) = $key =~ m/"fingerprint" : "([0-9a-f]{32})"/;
like(slurp('/etc/pve/storage.cfg'), qr/^\tencryption-key $fingerprint$/m, 'storage.cfg knows which');
unlike(slurp('/etc/pve/storage.cfg'), qr/"key"/, 'but not the key');
like(slurp('/var/lib/vault/vzvault/config'), qr/"suite":"aes-256-gcm"/, 'the repository is encrypted');

fill($DISK, 24 * $MiB, 3 * $MiB => 'hush, a secret of the disk ' x 20_000);
vm(100, "memory: 128\nname: hush-name\nscsi0: local:100/vm-100-disk-0.raw,size=24M\n");
my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing, '--notes-template', 'hush-notes');
is($code, 0, 'vzdump') || diag($output, daemon_log());
unlike($output, qr/^(?:WARN|ERROR):/m, 'without a warning');
my ($volid) = pvesm('list', 'vault') =~ m!^(vault:backup/\S+)!m;
ok($volid, 'is listed');
is(system('/bin/grep', '-rqE', 'hush', '/var/lib/vault'), 1 << 8, 'and shows nothing in any file');

my $restore = sub {
    my ($vmid, $what) = @_;
    my ($output, $code) = qmrestore($volid, $vmid, '--storage', 'target');
    is($code, 0, $what) || diag($output, daemon_log());
    my ($disk) = slurp("/etc/pve/qemu-server/$vmid.conf") =~ m!^scsi0: target:(\d+/[^,\s]+)!m;
    return same_disk($DISK, "/var/lib/target/images/$disk", 'the disk is the same');
};
$restore->(200, 'qmrestore');

# the key is lost, and found again
spew('/root/vault.key', $key);
chmod(0600, '/root/vault.key');
($output, $code) = pvesm('set', 'vault', '--delete', 'encryption-key');
is($code, 0, 'the key can be taken away') || diag($output);
ok(!-e $KEY, 'with its file');
like(pvesm('list', 'vault'), qr/^\Q$volid\E /m, 'what there is can be listed all the same');
($output, $code) = qmrestore($volid, 201, '--storage', 'target');
like($output, qr/\(E_KEY_MISSING: /, 'but not restored');
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
like($output, qr/\(E_KEY_MISSING: /, 'nor is anything written');
($output, $code) = pvesm('set', 'vault', '--encryption-key', 'autogen');
like($output, qr/\(E_KEY_WRONG: /, 'another key is not taken');
ok(!-e $KEY, 'and leaves nothing behind');
($output, $code) = pvesm('set', 'vault', '--encryption-key', '/root/vault.key');
is($code, 0, 'the right one is') || diag($output);
$restore->(202, 'and opens it again');

# the storage is added again, as on another cluster
($output, $code) = pvesm('remove', 'vault');
is($code, 0, 'the storage can be removed') || diag($output);
ok(!-e $KEY, 'with its key');
($output, $code) = pvesm(@ADD);
like($output, qr/\(E_KEY_MISSING: /, 'it is not added without a key');
($output, $code) = pvesm(@ADD, '--encryption-key', 'autogen');
like($output, qr/\(E_KEY_WRONG: /, 'nor with another');
ok(!-e $KEY, 'of which nothing stays');
unlike(slurp('/etc/pve/storage.cfg'), qr/^vzvault: vault$/m, 'nor of the storage');
($output, $code) = pvesm(@ADD, '--encryption-key', '/root/vault.key');
is($code, 0, 'but with the right one') || diag($output);
$restore->(203, 'and everything is there');

PVEHarness::stop_qemu(100);
finish();
