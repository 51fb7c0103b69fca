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
spew('/root/other.key', '5a' x 32 . "\n");
chmod(0600, '/root/vault.key', '/root/other.key');
($output, $code) = pvesm('set', 'vault', '--delete', 'encryption-key');
is($code, 0, 'the key can be taken away') || diag($output);
ok(!-e $KEY, 'from its place');
is(slurp("$KEY.old.$fingerprint"), $key, 'but is kept');
is((stat("$KEY.old.$fingerprint"))[2] & 0777, 0600, 'for root only');
like($output, qr/ is kept in $KEY\.old\.$fingerprint; /, 'which it says');
like(pvesm('list', 'vault'), qr/^\Q$volid\E /m, 'what there is can be listed all the same');
($output, $code) = qmrestore($volid, 201, '--storage', 'target');
like($output, qr/\(E_KEY_MISSING: /, 'but not restored');
($output, $code) = vzdump(100, '--storage', 'vault', @fleecing);
like($output, qr/\(E_KEY_MISSING: /, 'nor is anything written');
($output, $code) = pvesm('set', 'vault', '--encryption-key', 'autogen');
like($output, qr/autogen makes a new key, .+\(E_ARGUMENT_INVALID: /, 'a new key is not taken');
($output, $code) = pvesm('set', 'vault', '--encryption-key', '/root/other.key');
like($output, qr/\(E_KEY_WRONG: /, 'nor one that opens nothing');
ok(!-e $KEY, 'and leaves nothing behind');
($output, $code) = pvesm('set', 'vault', '--encryption-key', '/root/vault.key');
is($code, 0, 'the right one is') || diag($output);
ok(!-e "$KEY.old.$fingerprint", 'and is not kept twice');
$restore->(202, 'and opens it again');

# another one, where nothing can try it, and where trying it is cut short
my $now = slurp($KEY);
pvesm('set', 'vault', '--disable', '1');
($output, $code) = pvesm('set', 'vault', '--encryption-key', '/root/other.key');
like($output, qr/nothing can try the new one; .+\(E_ARGUMENT_INVALID: /, 'not while it is disabled');
is(slurp($KEY), $now, 'the key stays');
($output, $code) = pvesm('set', 'vault', '--disable', '0', '--encryption-key', '/root/other.key');
like($output, qr/\(E_KEY_WRONG: /, 'enabled by the same command it is tried');
is(slurp($KEY), $now, 'before it takes the place of the other');
pvesm('set', 'vault', '--delete', 'disable');
rename($KEY, "$KEY.old.$fingerprint"); # as a reset of the node leaves it
spew($KEY, slurp('/root/other.key'));
chmod(0600, $KEY);
($output, $code) = qmrestore($volid, 204, '--storage', 'target');
like($output, qr/\(E_KEY_WRONG: /, 'a change that was cut short');
($output, $code) = pvesm('set', 'vault', '--encryption-key', "$KEY.old.$fingerprint");
is($code, 0, 'is ended by giving the key that was kept') || diag($output);
is(slurp($KEY), $now, 'which is back in its place');
is_deeply([glob("$KEY.*")], [], 'and only there');

# the storage is added again, as on another cluster
($output, $code) = pvesm('remove', 'vault');
is($code, 0, 'the storage can be removed') || diag($output);
ok(!-e $KEY, 'with its key');
like($output, qr/ is kept in $KEY\.old\.$fingerprint; /, 'which is kept, and it says where');
($output, $code) = pvesm(@ADD);
like($output, qr/\(E_KEY_MISSING: .+; a key is kept in $KEY\.old\.$fingerprint; /, 'it is not added without');
($output, $code) = pvesm(@ADD, '--encryption-key', '/root/other.key');
like($output, qr/\(E_KEY_WRONG: /, 'nor with another');
ok(!-e $KEY, 'of which nothing stays');
unlike(slurp('/etc/pve/storage.cfg'), qr/^vzvault: vault$/m, 'nor of the storage');
($output, $code) = pvesm(@ADD, '--encryption-key', 'autogen');
is($code, 0, 'but with the one that is kept') || diag($output);
like(slurp($KEY), qr/"fingerprint" : "$fingerprint"/, 'which autogen finds');
is_deeply([glob("$KEY.*")], [], 'and puts in its place');
pvesm('remove', 'vault');
unlink("$KEY.old.$fingerprint");
($output, $code) = pvesm(@ADD, '--encryption-key', 'autogen');
like($output, qr/\(E_KEY_WRONG: /, 'without it a new one opens nothing');
is_deeply([glob("$KEY*")], [], 'and is thrown away');
($output, $code) = pvesm(@ADD, '--encryption-key', '/root/vault.key');
is($code, 0, 'the right one does') || diag($output);
$restore->(203, 'and everything is there');

# the repository is made, but the storage cannot be activated: a directory for snippets is in the way
my @FRESH = ('add', 'vzvault', 'fresh', '--path', '/var/lib/fresh', '--content', 'backup,snippets',
    '--encryption-key', 'autogen');
mkdir('/var/lib/fresh');
spew('/var/lib/fresh/snippets', 'no directory');
($output, $code) = pvesm(@FRESH);
isnt($code, 0, 'a storage that cannot be activated is not added');
ok(-e '/var/lib/fresh/vzvault/config', 'its repository is there');
my ($kept) = glob('/etc/pve/priv/storage/fresh.enc*');
like($kept, qr!/fresh\.enc\.old\.[0-9a-f]{32}\z!, 'and its key');
like($output, qr/ is kept in \Q$kept\E; /, 'and it says where');
unlink('/var/lib/fresh/snippets');
($output, $code) = pvesm(@FRESH);
is($code, 0, 'the next attempt finds both') || diag($output);
is_deeply([glob('/etc/pve/priv/storage/fresh.enc*')], ['/etc/pve/priv/storage/fresh.enc'], 'once');
my ($used) = $kept =~ m/([0-9a-f]{32})\z/;
like(slurp('/etc/pve/storage.cfg'), qr/^\tencryption-key $used$/m, 'the key is that of the first');

PVEHarness::stop_qemu(100);
finish();
