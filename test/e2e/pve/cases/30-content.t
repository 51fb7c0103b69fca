#!/usr/bin/perl -T

# What PVE keeps in any directory storage also lives beside a repository.

use strict;
use warnings;

use Test::More;

use Node;

storage_cfg();
start_daemon();
my $all = 'backup,iso,vztmpl,import,snippets';
my @add = ('add', 'vzvault', 'vault', '--path', '/var/lib/vault', '--content', $all);
is((pvesm(@add))[1], 0, 'a storage');
ok(-d "/var/lib/vault/$_", "$_ is made") for qw(template/iso template/cache import snippets);

my %file = (
    'iso/debian.iso' => ['template/iso/debian.iso', 'an image'],
    'vztmpl/alpine.tar.xz' => ['template/cache/alpine.tar.xz', 'a template'],
    'snippets/hook.pl' => ['snippets/hook.pl', "#!/usr/bin/perl\n"],
    'import/disk.qcow2' => ['import/disk.qcow2', 'an image to import'],
);
spew("/var/lib/vault/$_->[0]", $_->[1]) for values %file;

# an appliance: a tar archive of a description and a disk
fill('/var/tmp/disk-1.raw', 1024 * 1024, 4096 => 'appliance');
system('/usr/bin/qemu-img', 'convert', '-q', '-O', 'vmdk', '-f', 'raw', '/var/tmp/disk-1.raw',
    '/var/tmp/disk-1.vmdk') == 0 or die "qemu-img failed\n";
spew('/var/tmp/archive.ovf', <<'EOX');
<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References><File ovf:href="disk-1.vmdk" ovf:id="file1"/></References>
 <DiskSection><Disk ovf:capacity="1048576" ovf:diskId="vmdisk1" ovf:fileRef="file1"/></DiskSection>
 <VirtualSystem ovf:id="appliance"><Name>appliance</Name>
  <OperatingSystemSection ovf:id="94"/>
  <VirtualHardwareSection>
   <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
    <rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
   <Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType>
    <rasd:VirtualQuantity>128</rasd:VirtualQuantity></Item>
   <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType>
    <rasd:Address>0</rasd:Address></Item>
   <Item><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType>
    <rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:Parent>3</rasd:Parent>
    <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource></Item>
  </VirtualHardwareSection>
 </VirtualSystem>
</Envelope>
EOX
system('/bin/tar', '-C', '/var/tmp', '-cf', '/var/lib/vault/import/archive.ova', 'archive.ovf',
    'disk-1.vmdk') == 0 or die "tar failed\n";

my $list = pvesm('list', 'vault');
for my $volname (sort keys %file, 'import/archive.ova') {
    like($list, qr/^vault:\Q$volname\E\s/m, "lists $volname");
    next if !$file{$volname};
    is(pvesm('path', "vault:$volname"), "/var/lib/vault/$file{$volname}->[0]\n", 'has its path');
}
is(pvesm('path', 'vault:import/archive.ova/disk-1.vmdk'),
    "/var/lib/vault/import/archive.ova/disk-1.vmdk\n", 'a disk in an appliance has one too');
unlike($list, qr/backup/, 'and none of it is a backup');

my $cfg = PVE::Storage::config();
my $metadata = PVE::Storage::get_import_metadata($cfg, 'vault:import/archive.ova');
is($metadata->{'create-args'}->{name}, 'appliance', 'an appliance can be read');
is_deeply([map { ref($_) ? $_->{volid} : $_ } values $metadata->{disks}->%*],
    ['vault:import/archive.ova/disk-1.vmdk'], 'with its disk');

spew('/var/lib/vault/dump/vzdump-qemu-100-2026_11_22-04_17_14.vma.zst', 'a plain archive');
unlike(pvesm('list', 'vault'), qr/vma/, 'plain vzdump archives are not listed');
my ($output, $code) = pvesm('free', 'vault:backup/vzdump-qemu-100-2026_11_22-04_17_14.vma.zst');
isnt($code, 0, 'nor removed');
ok(-e '/var/lib/vault/dump/vzdump-qemu-100-2026_11_22-04_17_14.vma.zst', 'but left alone');

($output, $code) = pvesm('free', 'vault:iso/debian.iso');
is($code, 0, 'an ISO image is removed');
ok(!-e '/var/lib/vault/template/iso/debian.iso', 'and gone');
($output, $code) = pvesm('alloc', 'vault', '100', 'vm-100-disk-0.raw', '1M');
isnt($code, 0, 'guest disks cannot be made here');
ok(!-e '/var/lib/vault/images', 'nor their directory');

finish();
