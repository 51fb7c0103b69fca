#!/usr/bin/perl -T

# A VM with one disk of every odd kind goes in and comes back.

use strict;
use warnings;
use utf8;

use Test::More;

use Node;

my $MiB = 1024 * 1024;
my $IMAGES = '/var/lib/vz/images/100';
my $words = join('', map { pack('N', $_ * 2654435761 % 4294967296) } 1 .. 300_000);

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');

# a plain disk, an odd-sized qcow2, EFI variables smaller than a chunk, TPM state
fill("$IMAGES/vm-100-disk-0.raw", 64 * $MiB, 5 * $MiB => $words, 64 * $MiB - 3000 => 't' x 3000);
my $odd = 37 * $MiB + 1536;
fill('/var/tmp/odd.raw', $odd, 0 => 'first', 31 * $MiB => $words, $odd - 1 => 'z');
system('/usr/bin/qemu-img', 'convert', '-q', '-f', 'raw', '-O', 'qcow2', '/var/tmp/odd.raw',
    "$IMAGES/vm-100-disk-1.qcow2") == 0 or die "qemu-img failed\n";
fill("$IMAGES/vm-100-disk-2.raw", 540_672, 100 => 'efi variables', 540_671 => 'e');
fill("$IMAGES/vm-100-disk-3.raw", 4 * $MiB, 0 => 'tpm', 2 * $MiB => substr($words, 0, 70_000));

my $config = <<'EOC';
#Z%C3%BCrich%3A first line
#second line  with  spaces
bios: ovmf
boot: order=scsi0
efidisk0: local:100/vm-100-disk-2.raw,size=528K
memory: 128
name: testvm
scsi0: local:100/vm-100-disk-0.raw,size=64M
scsi1: local:100/vm-100-disk-1.qcow2,size=37889K
scsihw: virtio-scsi-single
tpmstate0: local:100/vm-100-disk-3.raw,size=4M,version=v2.0
EOC
my $firewall = "[OPTIONS]\n\nenable: 1\n\n[RULES]\n\nIN ACCEPT -p tcp -dport 22 # Z\xc3\xbcrich\n";
spew('/etc/pve/firewall/100.fw', $firewall);
vm(100, $config);

my @fleecing = ('--mode', 'snapshot', '--fleecing', 'enabled=1,storage=local');
my ($output, $code) = vzdump(100, '--storage', 'vault', @fleecing, '--protected', '1',
    '--notes-template', '{{guestname}} für Zürich\\nzweite Zeile');
is($code, 0, 'vzdump') || diag(daemon_log());
like($output, qr/creating vzvault archive 'vzdump-qemu-100-[\d_-]+\.vzv'/, 'names the archive');
like($output, qr/INFO: Finished Backup of VM 100/, 'and finishes');
unlike($output, qr/^(?:WARN|ERROR):/m, 'without a warning');

my @list = grep { m/^vault:/ } split(/\n/, pvesm('list', 'vault'));
is(scalar(@list), 1, 'there is one backup');
my ($volid, $size) =
    $list[0] =~ m!^(vault:backup/vzdump-qemu-100-[\d_-]+\.vzv)\s+vzv\s+backup\s+(\d+)\s+100$!;
ok(defined($volid), 'which pvesm lists') || diag("@list");
is($size, 64 * $MiB + $odd + 540_672 + 4 * $MiB, 'with the size of its disks');
like(pvesm('path', $volid), qr!^/var/lib/vault/vzvault/\S+$!, 'it has a path');
is(pvesm('list', 'vault', '--vmid', '101') =~ m/^vault:/m, '', 'another guest has none');

# through the API, in a process that is tainted
my $content = 'PVE::API2::Storage::Content';
my ($entry) = api($content, 'index', storage => 'vault')->@*;
is($entry->{subtype}, 'qemu', 'the API knows the type');
is($entry->{notes}, 'testvm für Zürich', 'lists the first line of the notes');
ok($entry->{protected}, 'and the protection');
my $info = api($content, 'info', volume => $volid);
is($info->{notes}, "testvm für Zürich\nzweite Zeile", 'has the notes whole');
is($info->{size}, $size, 'has the size');
cmp_ok($info->{used}, '>', 0, 'and what was added');
is($info->{format}, 'vzv', 'and a format');
api($content, 'updateattributes', volume => $volid, notes => "日本語 🙂\nzwei\n\ndrei");
is(api($content, 'info', volume => $volid)->{notes}, "日本語 🙂\nzwei\n\ndrei", 'notes change');
is(api($content, 'index', storage => 'vault')->[0]->{notes}, '日本語 🙂', 'in the list too');

# the configuration
my $extracted = pvesm('extractconfig', $volid);
is(substr($extracted, 0, length($config)), $config, 'the guest configuration is verbatim');
my @map = substr($extracted, length($config)) =~ m/^#qmdump#map:(\w+):/mg;
is_deeply(\@map, [qw(efidisk0 scsi0 scsi1 tpmstate0)], 'and followed by the four disks');

# the disks
($output, $code) = qmrestore($volid, 200, '--storage', 'target');
is($code, 0, 'qmrestore') || diag(daemon_log());
my $restored = slurp('/etc/pve/qemu-server/200.conf');
my %disk = $restored =~ m/^(scsi\d|efidisk0|tpmstate0): target:(200\/[^,\s]+)/mg;
same_disk("$IMAGES/$_->[1]", "/var/lib/target/images/$disk{$_->[0]}", "$_->[0] is the same")
    for [scsi0 => 'vm-100-disk-0.raw'], [scsi1 => 'vm-100-disk-1.qcow2'],
    [efidisk0 => 'vm-100-disk-2.raw'], [tpmstate0 => 'vm-100-disk-3.raw'];
is(slurp('/etc/pve/firewall/200.fw'), $firewall, 'so is the firewall configuration');
like($restored, qr/^#Z%C3%BCrich%3A first line\n#second line  with  spaces$/m,
    'and the description');
unlike(slurp('/proc/mounts'), qr!vzvault/mounts!, 'no mount is left behind');

# protection and removal
($output, $code) = pvesm('free', $volid);
like($output, qr/\(E_SNAPSHOT_PROTECTED: /, 'a protected backup is not removed');
like(pvesm('list', 'vault'), qr/\Q$volid\E/, 'it is still there');
api($content, 'updateattributes', volume => $volid, protected => 0);
ok(!api($content, 'info', volume => $volid)->{protected}, 'protection can be taken back');
($output, $code) = pvesm('free', $volid);
is($code, 0, 'then it is removed');
unlike(pvesm('list', 'vault'), qr/\Q$volid\E/, 'and gone');
($output, $code) = qmrestore($volid, 201, '--storage', 'target');
isnt($code, 0, 'what is gone cannot be restored');
like($output, qr/\(E_SNAPSHOT_MISSING: /, 'and the error says so');

PVEHarness::stop_qemu(100);
finish();
