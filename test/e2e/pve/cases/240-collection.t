#!/usr/bin/perl -T

# Garbage is collected after Proxmox VE has pruned, and beside backups and restores of VMs and
# containers, also where they are killed or what is restored is removed meanwhile: what is listed is
# always whole, and in the end nothing is left that nobody needs.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use Containers;
use Guest;
use History;
use Killed;
use Leftovers;
use Meanwhile;
use Node;
use Tree;

my $MiB = 1024 * 1024;
my $VAULT = '/var/lib/vault/vzvault';
my $LOG = '/var/tmp/gc.log';
my $STOP = '/var/tmp/gc.stop';

storage_cfg();
start_daemon();
add_vault('vault', '/var/lib/vault');
fill('/var/lib/vz/images/100/vm-100-disk-0.raw', 40 * $MiB);
vm(100, "memory: 128\nscsi0: local:100/vm-100-disk-0.raw,size=40M\nscsihw: virtio-scsi-pci\n");
guest_writes_noise('scsi0', 0, 16 * $MiB);
populate(container(101, $Containers::BASE), $Containers::BASE);

my $history = History->new();
my $incremental = incremental('scsi0');

sub stored_bytes {
    my $bytes = 0;
    $bytes += -s $_ // 0 for glob("$VAULT/packs/*/*");
    return $bytes;
}

# With nobody else at work: directories are seen as they are.
sub collect {
    my ($name) = @_;

    my ($output, $code) = vzvault('gc', 'vault', '--grace', '0');
    is($code, 0, "$name: gc") || diag($output);
    return $output;
}

# No session, no claim, no unfinished file; of generations only what they have freed.
sub is_tidy {
    my ($name) = @_;

    my @left = map { glob("$VAULT/$_/*") } qw(sessions condemned tmp);
    @left = grep { !m!/condemned/\d+\.done\z! } @left;
    return ok(!@left, "$name: nothing is left of sessions and collections") || diag(join("\n", @left));
}

# --- pruned by PVE ---

for my $n (1 .. 3) {
    guest_writes_noise('scsi0', 16 * $MiB, 4 * $MiB);
    $history->backup(name => "backup $n", modes => $n == 1 ? full('first', 'scsi0') : $incremental);
    noise('var/noise', 4 * $MiB);
    is((backup_101())[1], 0, "container $n") || diag(daemon_log());
}
my $as_it_was = manifest($Containers::ROOT, $Containers::BASE);
like(collect('nothing to do'), qr/^nothing to delete/m, 'nothing to do: nothing goes');

my @vm = $history->volids();
my @containers = listed();
my ($output, $code) = pvesm('prune-backups', 'vault', '--keep-last', '1', '--type', 'lxc');
is($code, 0, 'containers are pruned by pvesm');
is_deeply([listed()], [$containers[-1]], 'one is left');
($output) = $history->backup(name => 'vzdump that prunes', modes => $incremental,
    args => ['--prune-backups', 'keep-last=2']);
like($output, qr/^INFO: removing backup '\Q$vm[1]\E'$/m, 'VMs are pruned by vzdump');
$history->forget($_) for @vm[0, 1];
my $before = stored_bytes();
($output, $code) = vzvault('gc', 'vault', '--dry-run');
like($output, qr/^[1-9]\d* of them are not needed: /m, 'a dry run says what would go');
is(stored_bytes(), $before, 'and lets it be');
like(collect('pruned'), qr/^deleted [1-9]\d* packs /m, 'pruned: packs go');
# But for the 4 MiB that lie in one pack with what is in use, and are less than half of it.
cmp_ok($before - stored_bytes(), '>=', 12 * $MiB, 'pruned: what only the removed ones had');
is_tidy('pruned');
$history->check('pruned');
$history->restore(200, 'pruned');
is_restored((listed())[-1], 'pruned: the container', $as_it_was);
guest_writes('scsi0', 39 * $MiB, 4096);
$history->backup(name => 'after a collection', modes => $incremental);
nothing_left('pruned');

# --- beside everything ---

# A process that collects again and again. Listings of a local file system are never old, but the
# waits shall be passed as well.
my ($gc) = "$ENV{VZVAULT_BIN}/vzvault" =~ m/\A(.+)\z/;
spew($LOG, '');
my $collector = fork() // die "fork: $!\n";
if (!$collector) {
    open(STDOUT, '>>', $LOG);
    open(STDERR, '>&', \*STDOUT);
    $| = 1;
    while (!-e $STOP) {
        my $status = system($gc, 'gc', 'vault', '--grace', '1');
        print "exit $status at ", time(), "\n";
        sleep(1);
    }
    POSIX::_exit(0);
}

# Runs $code meanwhile; at least one collection must have begun and ended, and deleted something.
sub while_collecting {
    my ($name, $code) = @_;

    my $began = -s $LOG;
    my $result = $code->();
    my $enough = sub { substr(slurp($LOG), $began) =~ m/^deleted [1-9]/m };
    ok(wait_until(180, $enough), "$name: garbage goes meanwhile") || diag(slurp($LOG));
    return $result;
}

# The oldest backup is restored, slowly, and removed as soon as that has begun, while a backup runs,
# slowly too. A container's is removed as well, which is garbage at once.
sub restored_and_removed {
    my ($oldest) = $history->volids();
    noise('var/noise', 4 * $MiB);
    is((backup_101())[1], 0, 'another container');
    my ($container) = listed();
    my $copy = '/var/tmp/oldest.raw';
    my ($kept) = values $history->{copies}->{ $oldest =~ s/\A.*?://r }->{disks}->%*;
    system('/bin/cp', '--sparse=always', $kept, $copy) == 0 or die "cp failed\n";
    my $restores = once(sub { is_being_read(100) }, sub {
        my ($said, $status) = qmrestore($oldest, 300, '--storage', 'target', '--bwlimit', '512');
        spew('/var/tmp/restored', $status);
    });
    my $removes = once(sub { glob('/run/vzvault/mounts/*.json') },
        sub { pvesm('free', $_) for $oldest, $container }, 2);
    guest_writes('scsi0', 0, 40 * $MiB);
    my ($volid) = (backup_slowly('beside a restore'))[1];
    waitpid($_, 0) for $removes, $restores;
    $history->forget($oldest);
    is(slurp('/var/tmp/restored'), 0, 'what is removed meanwhile is restored') || diag(daemon_log());
    PVE::Cluster::cfs_update();
    my ($restored) = values History->new(vmid => 300)->disks()->%*;
    same_disk($copy, $restored, 'as it was');
    return;
}

# Longer than a heartbeat of its session: so a collection can end while it runs.
sub backup_slowly {
    my ($name) = @_;

    my $from = -s $LOG;
    my @result = $history->backup(name => $name, modes => $incremental, args => ['--bwlimit', '512']);
    like(substr(slurp($LOG), $from), qr/^deleted [1-9].*?^exit 0 at /ms,
        "$name: a collection was over before it");
    return @result;
}

while_collecting('a backup and a restore', \&restored_and_removed);

while_collecting('a container', sub {
    my ($old) = listed();
    for my $n (1, 2) {
        noise('var/noise', 4 * $MiB);
        is((backup_101())[1], 0, "a container beside collections, $n") || diag(daemon_log());
    }
    my $mechanism = mechanism() eq 'nbd' ? 'tar' : 'directory';
    mechanism_is($mechanism);
    is_restored((listed())[-1], "a container, by $mechanism");
    is((pvesm('free', $old))[1], 0, 'an older one is removed');
});

for my $what ('vzdump', 'the daemon') {
    while_collecting("$what killed", sub {
        guest_writes_noise('scsi0', 8 * $MiB, 12 * $MiB);
        my $killer = once(sub { is_being_read(100) }, sub {
            return kill('KILL', daemon_pid()) if $what eq 'the daemon';
            kill_vzdump(worker('vzdump'), process(qr!/vzdump 100 !));
        }, 3);
        $history->backup(name => "$what killed", args => ['--bwlimit', '1024'], fails => qr/./);
        waitpid($killer, 0);
        if ($what eq 'vzdump') {
            tidy_up();
        } else {
            restart_daemon();
        }
        my ($oldest) = $history->volids();
        is((pvesm('free', $oldest))[1], 0, "$what killed: the oldest is removed");
        $history->forget($oldest);
        $history->backup(name => "after $what was killed", modes => $incremental);
        $history->check("after $what was killed");
    });
}

spew($STOP, '');
waitpid($collector, 0);
my $log = slurp($LOG);
my @failed = grep { $_ ne '0' } $log =~ m/^exit (\d+) at /mg;
ok(!@failed, 'no collection failed') || diag($log);
unlike($log, qr/\(E_/, 'or complained') || diag($log);
collect('in the end');
is_tidy('in the end');
nothing_left('in the end');
$history->check('in the end');
$history->restore(201, 'the last');
is_restored((listed())[-1], 'the last container');
like(collect('once more'), qr/^nothing to delete/m, 'and nothing more is to be done');

PVEHarness::stop_qemu(100);
finish();
