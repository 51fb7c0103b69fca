#!/usr/bin/perl -T

# The storage plugin: retention, activation, adding a storage, a daemon that is not there.

use strict;
use warnings;

use Test::More;

use File::Temp;

use Fixtures;
use Taint qw(taint tainted_parts);

alarm(120); # a test that hangs shall fail

my $keys = File::Temp->newdir();
$ENV{VZVAULT_KEY_DIR} = "$keys";

subtest 'retention' => sub {
    my $day = 86_400;
    my @entries = (
        (map { entry(1_700_000_000 + $_ * $day) } 0 .. 2),
        entry(1_700_000_000 + 3 * $day, protected => $true),
        entry(1_700_000_000 + 4 * $day, verifyState => 'damaged'),
        (map { entry(1_700_000_000 + $_ * $day, guestType => 'lxc', vmid => 101) } 0, 1),
    );
    my $table = {
        'storage.list' => { backups => \@entries, more => $false },
        'storage.free' => {},
    };
    my ($list, @log);
    my $log = sub { push @log, join(': ', @_) };
    my $prune = sub { $list = $PLUGIN->prune_backups($SCFG, 'vault', { 'keep-last' => 1 }, @_) };

    my $calls = with_daemon($table, sub { $prune->(undef, undef, 1, $log) });
    is_deeply([map { $_->{mark} } $list->@*],
        [qw(remove remove keep protected keep remove keep)],
        'marks per guest; what is damaged neither goes nor makes a good one go');
    is_deeply(
        $list->[0],
        {
            ctime => 1_700_000_000,
            mark => 'remove',
            type => 'qemu',
            vmid => 100,
            volid => volid($entries[0]),
        },
        'in the form that PVE counts and shows',
    );
    is_deeply([map { $_->[0] } $calls->@*], ['storage.list'], 'a dry run removes nothing');

    $calls = with_daemon($table, sub { $prune->(100, 'qemu', 0, $log) });
    is(scalar($list->@*), 5, 'takes one type only');
    is_deeply([map { $_->[1]->{volume} } $calls->@[1, 2]],
        [map { $_->{volume} } @entries[0, 1]], 'removes what it marked');
    is(scalar($calls->@*), 3, 'and nothing else');
    is_deeply(\@log, [map { 'info: removing backup \'' . volid($_) . '\'' } @entries[0, 1]],
        'and says so');

    @log = ();
    my $answer = ['E_SNAPSHOT_MISSING', 'gone'];
    $calls = with_daemon({ $table->%*, 'storage.free' => $answer },
        sub { ok(eval { $prune->(100, 'qemu', 0, $log) }, 'what another node removed is fine') });
    $answer = ['E_STORAGE_IO', 'disk on fire'];
    $calls = with_daemon({ $table->%*, 'storage.free' => $answer }, sub {
        eval { $prune->(100, 'qemu', 0, $log) };
        is($@, "error pruning backups - check log\n", 'a failure is reported in the end');
    });
    is(scalar($calls->@*), 3, 'after trying the others');

    my @locked = (entry(1_700_000_000), entry(1_700_000_000 + $day, verifyState => 'unknown'));
    $calls = with_daemon({ 'storage.list' => { backups => \@locked, more => $false } }, sub {
        eval { $prune->(undef, undef, 0, $log) };
        like($@, qr/\Apruning vault: .* \(E_KEY_MISSING: /, 'without the key it removes nothing');
    });
    is(scalar($calls->@*), 1, 'and says why');
    is(scalar(grep { m/\Aerr: error when removing .*disk on fire/ } @log), 2, 'each with its line');
};

subtest 'the storage' => sub {
    $PARENT->@* = ();
    my $table = {
        'daemon.ping' => { version => '0.1.0', pid => 1 },
        'storage.activate' => { repositoryId => '0123abcd' },
        'storage.status' => { totalBytes => 30, availableBytes => 20, usedBytes => 10 },
        'storage.create' => { created => $true, repositoryId => '0123abcd' },
    };
    my $mixed = { $SCFG->%*, content => { backup => 1, iso => 1 } };
    my $calls = with_daemon($table, sub {
        ok($PLUGIN->check_connection('vault', $SCFG), 'is connected');
        $PLUGIN->activate_storage('vault', $SCFG, {});
        is_deeply($PARENT, [], 'activation makes no directory for backups');
        $PLUGIN->activate_storage('vault', $mixed, {});
        is_deeply([$PLUGIN->status('vault', $SCFG, {})], [30, 20, 10, 1], 'has a status');
        is($PLUGIN->get_identity($SCFG, 'vault'), '0123abcd', 'is known by its repository');
        $PLUGIN->deactivate_storage('vault', $SCFG, {});
    });
    is_deeply([map { $_->[0] } $calls->@*],
        [qw(daemon.ping storage.activate storage.activate storage.status storage.activate)],
        'one call each');
    my ($method, $storeid, $seen) = $PARENT->[0]->@*;
    is($method, 'Plugin::activate_storage', 'with other content, its directories are made');
    is_deeply($seen->{content}, { iso => 1 }, 'for that content');
    is_deeply([tainted_parts($seen->{path})], [], 'at an untainted path');

    $PARENT->@* = ();
    with_daemon({ 'storage.activate' => ['E_NOT_MOUNTED', 'nothing there'] }, sub {
        eval { $PLUGIN->activate_storage('vault', $mixed, {}) };
        like($@, qr/\(E_NOT_MOUNTED: /, 'where the daemon refuses, activation fails');
    });
    is_deeply($PARENT, [], 'before anything touches the path');
    is($PLUGIN->on_update_hook('vault', $SCFG), undef, 'an update asks nothing');
    is($PLUGIN->on_update_hook_full('vault', $SCFG, {}, [], {}), undef, 'in either form');
    is($PLUGIN->on_delete_hook('vault', $SCFG), undef, 'a removal leaves the backups alone');
};

subtest 'adding a storage' => sub {
    my $dir = File::Temp->newdir();
    my ($base) = "$dir" =~ m!\A(/tmp/\w+)\z!;
    my $ping = { version => '0.1.0', pid => 1 };
    my $table = {
        'daemon.ping' => $ping,
        'storage.create' => { created => $true, repositoryId => '0123abcd' },
    };
    my $add = sub {
        my (%more) = @_;
        my $scfg = { path => taint("$base/new"), content => { backup => 1 }, %more };
        $PARENT->@* = ();
        my $calls = with_daemon($table, sub { $PLUGIN->on_add_hook('vault', $scfg) });
        return wantarray ? ($calls, $scfg->{'vzvault-instance'}) : $calls;
    };

    my ($calls, $instance) = $add->('vzvault-chunk-size' => '1M');
    my $storage = { id => 'vault', path => "$base/new", isMountpoint => '', instance => $instance };
    is_deeply(
        $calls,
        [
            ['daemon.ping', {}],
            ['storage.create', { storage => { $storage->%*, chunkSizeBytes => 1048576 } }],
        ],
        'makes the repository',
    );
    like($instance, qr/\A[0-9a-f]{32}\z/, 'gives the section an instance, which PVE keeps');
    isnt(($add->())[1], $instance, 'another every time');
    ok(-d "$base/new", 'and the directory before it');
    rmdir("$base/new");

    $add->(is_mountpoint => 'yes');
    is_deeply($PARENT, [], 'but no directory that has to be a mount point');
    is_deeply(scalar($add->(disable => 1)), [], 'nothing for a storage that is disabled');
    is_deeply(scalar($add->(nodes => { pve2 => 1 })), [], 'nor for one of other nodes');
    is(scalar($add->(nodes => { pve1 => 1 })->@*), 2, 'but for one of this node');

    rmdir("$base/new");
    {
        local $table->{'daemon.ping'} = ['E_DAEMON_STOPPING', 'not now'];
        eval { $add->() };
    }
    ok(!-e "$base/new", 'nothing is made where the daemon does not answer');

    no warnings 'redefine';
    local *PVE::Tools::run_fork_with_timeout = sub { return };
    with_daemon($table, sub {
        my $scfg = { path => "$base/new", content => { backup => 1 } };
        eval { $PLUGIN->on_add_hook('vault', $scfg) };
    });
    like($@, qr/\Acannot create \S+ \(E_STORAGE_TIMEOUT: /, 'a path that hangs is an error');
};

subtest 'no daemon' => sub {
    local $ENV{VZVAULT_SOCKET} = '/tmp/vzvault-test-nowhere/sock';
    my %call = (
        check_connection => ['vault', $SCFG],
        activate_storage => ['vault', $SCFG, {}],
        status => ['vault', $SCFG, {}],
        list_volumes => ['vault', $SCFG, undef, ['backup']],
        volume_size_info => [$SCFG, 'vault', $VOLUME],
        get_volume_attribute => [$SCFG, 'vault', $VOLUME, 'notes'],
        update_volume_attribute => [$SCFG, 'vault', $VOLUME, 'notes', 'x'],
        free_image => ['vault', $SCFG, $VOLUME],
        prune_backups => [$SCFG, 'vault', { 'keep-last' => 1 }],
        get_identity => [$SCFG, 'vault'],
    );
    for my $method (sort keys %call) {
        eval { $PLUGIN->$method($call{$method}->@*) };
        like($@, qr/\A[^\n]+ \(E_DAEMON_UNREACHABLE: [^\n]+\)\n\z/, "$method says so in one line");
    }
    ok(eval { $PLUGIN->path($SCFG, $VOLUME, 'vault') }, 'path does not need one');
    ok(eval { $PLUGIN->parse_volname($VOLUME) }, 'nor does parse_volname');
    ok(eval { $PLUGIN->new_backup_provider($SCFG, 'vault', sub { }) }, 'nor does a new provider');
};

done_testing();
