#!/usr/bin/perl -T

# Damaged and missing packs: `vzvault verify` marks the backups that need them, Proxmox VE's list shows
# it, and pruning spares them. The next backup of the guest reads everything, stores again what is
# missing and takes the marks away; then the old backups are restored as if nothing had been.

use strict;
use warnings;

use JSON ();
use Test::More;

use Containers;
use Guest;
use History;
use Leftovers;
use Node;
use Tree;

my $MiB = 1024 * 1024;
my $PACKS = '/var/lib/vault/vzvault/packs';
my $CONTENT = 'PVE::API2::Storage::Content';
my @NOTES = ('--notes-template', 'first line\\nsecond line');

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 24 * $MiB);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=24M\nscsihw: virtio-scsi-pci\n");
guest_writes_noise('scsi0', $MiB, 12 * $MiB);
populate(container(101, $Containers::BASE), $Containers::BASE);
noise('var/noise', 4 * $MiB);

my $history = History->new(args => [@NOTES]);

# Packs that were made since the last call, the largest one first, which has data; maps are in the last.
my %known;

sub new_packs {
    my @new = grep { !$known{$_}++ } map { m/\A(.+)\z/ } glob("$PACKS/*/*");
    return sort { -s $b <=> -s $a } @new;
}

# What the API lists, in the order of the volume ids.
sub entries {
    my $content = api($CONTENT, 'index', storage => 'vault');
    return sort { $a->{volid} cmp $b->{volid} } $content->@*;
}

# Verifies; exactly these backups must be marked then. $expected_code: of verify.
sub verify_marks {
    my ($name, $expected_code, @marked) = @_;

    my ($output, $code) = vzvault('verify', 'vault', '--grace', '0');
    is($code, $expected_code, "$name: verify says so");
    return are_marked($name, @marked);
}

sub are_marked {
    my ($name, @marked) = @_;

    my @entries = entries();
    my @volids = map { $_->{volid} } @entries;
    my %is_marked = map { $_ => 1 } @marked;
    my @states = map { $is_marked{$_} ? 'failed' : undef } @volids;
    my @notes = map { ($is_marked{$_} ? 'DAMAGED: ' : '') . 'first line' } @volids;
    is_deeply([map { $_->{verification} && $_->{verification}->{state} } @entries], \@states,
        "$name: the API shows it");
    is_deeply([map { $_->{notes} } @entries], \@notes, "$name: the notes in the list begin with it");

    my @sizes = pvesm('list', 'vault') =~ m/^vault:\S+\s+vzv\s+backup\s+(\d+)\s+\d+$/mg;
    is(scalar(grep { $_ > 0 } @sizes), scalar(@volids), "$name: all backups are listed with their size");
    my $listed = JSON::decode_json(scalar(vzvault('list', 'vault', '--json')));
    my %state = map { ("vault:$_->{volume}" => $_->{verifyState}) } $listed->@*;
    is_deeply([map { ($_ // '') eq 'damaged' ? 'failed' : undef } @state{@volids}], \@states,
        "$name: vzvault list too");
    is(scalar(keys %state), scalar(@volids), "$name: and lists all");
    return;
}

sub are_spared {
    my ($name, @marked) = @_;

    my ($output) = pvesm('prune-backups', 'vault', '--keep-last', '1', '--dry-run', '1');
    my %mark = $output =~ m/^(vault:\S+)\s+\S+\s+(\w+)$/mg;
    is_deeply([@mark{@marked}], [('keep') x @marked], "$name: pruning spares what is damaged");
    return;
}

sub restores_old {
    my ($volid, $name) = @_;

    my ($output, $code) = qmrestore($volid, 300, '--storage', 'target', '--force', '1');
    is($code, 0, "$name: qmrestore of the old one") || diag(daemon_log());
    my ($copy) = values $history->{copies}->{ $volid =~ s/\A.*?://r }->{disks}->%*;
    my ($restored) = values History->new(vmid => 300)->disks()->%*;
    same_disk($copy, $restored, "$name: it is the same");
    unlink($restored, '/etc/pve/qemu-server/300.conf');
    return;
}

# --- a VM ---

$history->backup(name => 'the first', modes => full('first', 'scsi0'));
my ($data) = new_packs();
guest_writes_noise('scsi0', 20 * $MiB, $MiB);
$history->backup(name => 'the second', modes => incremental('scsi0'));
my @second = new_packs();
my @damaged = $history->volids();
is(scalar(@second), 2, 'the second has a pack of data and one of maps');
verify_marks('as it is', 0);

sub heals {
    my ($name, @marked) = @_;

    my ($output, $code) = qmrestore($marked[0], 300, '--storage', 'target');
    isnt($code, 0, "$name: qmrestore fails");
    like($output, qr/^ERROR: [^\n]*\(E_(?:CHUNK|PACK)_(?:MISSING|DAMAGED): /m, "$name: and says why");
    my $info = api($CONTENT, 'info', volume => $marked[0]);
    is($info->{notes}, "first line\nsecond line", "$name: its notes are as they were");
    are_spared($name, @marked);
    $history->backup(name => "$name: the next", modes => full('damaged', 'scsi0'));
    nothing_left($name);
    are_marked("$name: after the next");
    restores_old($marked[0], $name);
    $history->check($name);
    new_packs();
    guest_writes_noise('scsi0', 22 * $MiB, 512 * 1024);
    $history->backup(name => "$name: one more", modes => incremental('scsi0'));
    return (new_packs())[-1];
}

flip($data, 3 * $MiB);
verify_marks('a bit of the data', 3, @damaged);
ok(!-e $data, 'a bit of the data: the pack is out of use');
my @quarantined = glob('/var/lib/vault/vzvault/quarantine/*.pack');
is(scalar(@quarantined), 1, 'a bit of the data: but not deleted');
my $map = heals('a bit of the data', @damaged);
verify_marks('a bit of the data, in the end', 0);

# A map is the same again only while the disk is what it was.
$history->backup(name => 'nothing changed', modes => incremental('scsi0'));
flip($map, 100);
my @last_two = ($history->volids())[-2, -1];
verify_marks('a bit of a map', 3, @last_two);
heals('a bit of a map', @last_two);
verify_marks('a bit of a map, in the end', 0);

# Only what was written since the first damage is in other packs.
my ($large) = sort { -s $b <=> -s $a } map { m/\A(.+)\z/ } glob("$PACKS/*/*");
unlink($large) or die "$large: $!\n";
my @all = $history->volids();
verify_marks('a pack that is gone', 3, @all);
heals('a pack that is gone', @all);
is((vzvault('repair', 'index', 'vault', '--grace', '0'))[1], 0, 'the index forgets it');
verify_marks('a pack that is gone, in the end', 0);
$history->restore(200, 'the last');
PVEHarness::stop_qemu(100);

# --- a container ---

is((backup_101(@NOTES))[1], 0, 'a container') || diag(daemon_log());
my ($of_first) = new_packs();
my $as_it_was = manifest($Containers::ROOT, $Containers::BASE);
noise('var/more', $MiB);
is((backup_101(@NOTES))[1], 0, 'again') || diag(daemon_log());
my ($first, $last) = listed();
my $of_last = (new_packs())[-1];

sub container_heals {
    my ($name, $pack, $at, @marked) = @_;

    flip($pack, $at);
    verify_marks($name, 3, @marked);
    isnt((restore($last))[1], 0, "$name: pct restore fails");
    are_spared($name, @marked);
    is((backup_101(@NOTES))[1], 0, "$name: the next backup") || diag(daemon_log());
    nothing_left($name);
    are_marked("$name: after the next");
    is_restored($first, "$name: the first", $as_it_was);
    is_restored($last, "$name: the last before");
    is_restored((listed())[-1], "$name: the next");
    is_sound($name);
    return;
}

container_heals('the map of a container', $of_last, 100, $last);
container_heals('the data of a container', $of_first, 3 * $MiB, listed());
finish();
