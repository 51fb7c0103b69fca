#!/usr/bin/perl -T

# The storage plugin: what it says of itself, names, listings, single volumes.

use strict;
use warnings;
use utf8;

use Test::More;

use Fixtures;
use Taint qw(taint tainted_parts);

alarm(120); # a test that hangs shall fail

subtest 'what the plugin says of itself' => sub {
    is($PLUGIN->type(), 'vzvault', 'type');
    my $data = $PLUGIN->plugindata();
    ok($data->{features}->{'backup-provider'}, 'is a backup provider');
    is_deeply($data->{'sensitive-properties'}, { 'encryption-key' => 1 }, 'says what is secret');
    is_deeply($data->{content}->[1], { backup => 1 }, 'holds backups by default');
    ok($data->{content}->[0]->{$_}, "may hold $_") for qw(iso vztmpl import snippets none);
    ok(!$data->{content}->[0]->{$_}, "cannot hold $_") for qw(images rootdir);
    like($_, qr/\Avzvault-[a-z-]+\z/, "the property $_ is prefixed")
        for sort keys $PLUGIN->properties()->%*;
    my @inherited = qw(path nodes shared disable content content-dirs is_mountpoint bwlimit
        create-base-path create-subdirs prune-backups max-protected-backups encryption-key);
    is_deeply(
        [sort keys $PLUGIN->options()->%*],
        [sort @inherited, keys $PLUGIN->properties()->%*],
        'every option is a property of ours or one that PVE has',
    );
    ok($PLUGIN->options()->{$_}->{fixed}, "$_ is fixed") 
        for qw(path vzvault-chunk-size vzvault-instance);
    my $mechanism = $PLUGIN->properties()->{'vzvault-vm-mechanism'};
    is_deeply($mechanism->{enum}, [qw(nbd file-handle)], 'PVE may hand disks over in two ways');
    is($mechanism->{default}, 'nbd', 'of which NBD is the one');
    ok(!$PLUGIN->options()->{'vzvault-vm-mechanism'}->{fixed}, 'until it is changed');
    my $restore = $PLUGIN->properties()->{'vzvault-ct-restore'};
    is_deeply($restore->{enum}, [qw(tar directory)], 'PVE may take containers back in two ways');
    is($restore->{default}, 'tar', 'of which tar is the one');
    ok(!$PLUGIN->options()->{'vzvault-ct-restore'}->{fixed}, 'until it is changed');
};

subtest 'the API version' => sub {
    my %answer = (8 => 11, 11 => 11, 13 => 13, 15 => 15, 16 => 15, 99 => 15);
    for my $theirs (sort { $a <=> $b } keys %answer) {
        no warnings 'redefine';
        local *PVE::Storage::APIVER = sub { $theirs };
        is($PLUGIN->api(), $answer{$theirs}, "is $answer{$theirs} where PVE has $theirs");
    }
};

subtest 'check_config' => sub {
    my %ok = (path => '/mnt/vault');
    ok(eval { $PLUGIN->check_config('vault', {%ok, $_->@*}, 1, 1) }, "takes (@$_)")
        for [], [is_mountpoint => 'yes'], [is_mountpoint => 0], [is_mountpoint => '/mnt'];
    ok(!eval { $PLUGIN->check_config('vault', {%ok, $_->@*}, 1, 1) }, "refuses (@$_)")
        for [path => '/'], [path => '/mnt/../etc'], [path => '/mnt/.'], [path => 'mnt'],
        [is_mountpoint => 'maybe'], [is_mountpoint => '../x'], [is_mountpoint => "/x\n"];
    ok(eval { $PLUGIN->check_config('vault', { shared => 1 }, 0, 1) }, 'an update has no path');
};

subtest 'volume names' => sub {
    is_deeply(
        [$PLUGIN->parse_volname(taint($VOLUME))],
        ['backup', $VOLUME =~ s!backup/!!r, 100, undef, undef, undef, 'vzv'],
        'parses ours',
    );
    is_deeply([tainted_parts([$PLUGIN->parse_volname(taint($VOLUME))])], [], 'untainted');
    eval { $PLUGIN->parse_volname('backup/vzdump-qemu-100-2026_11_22-04_17_14.vma.zst') };
    like($@, qr/\Aunable to parse .*as the name of a vzvault backup\n\z/, 'refuses other backups');
    my @others = ('iso/debian.iso', 'vztmpl/alpine.tar.xz', 'import/archive.ova/disk-1.vmdk',
        'snippets/hook.pl', '100/vm-100-disk-0.raw');
    for my $volname (@others) {
        is($PLUGIN->parse_volname($volname), 'parent', "leaves $volname to the parent");
    }

    my ($path, $vmid, $vtype) = $PLUGIN->path($SCFG, taint($VOLUME), 'vault');
    is($path, '/mnt/vault/vzvault/backup/qemu/100/2026_11_22-04_17_14.vzv', 'has a path');
    is_deeply([$vmid, $vtype], [100, 'backup'], 'with vmid and type');
    is_deeply([tainted_parts([$path, $vmid])], [], 'untainted');
    unlike($path, qr!/vzdump-[^/]*\z!, 'which PVE does not take for an archive with siblings');
    ok(eval { $PLUGIN->path($SCFG, $VOLUME, 'vault', 'snap') }, 'even of a snapshot');
    is(scalar($PLUGIN->path($SCFG, 'iso/a.iso', 'vault')), 'parent',
        "an ISO's path is the parent's");
};

subtest 'listing' => sub {
    my @entries = (
        entry(1_700_000_000, notes => "Zürich\nsecond line", protected => $true),
        entry(1_700_000_100, guestType => 'lxc', vmid => 101, notes => "\n"),
        entry(1_700_000_200, verifyState => 'damaged', sizeBytes => 0),
        entry(1_700_000_300, verifyState => 'damaged', notes => "web\nsecond line"),
        entry(1_700_000_400, verifyState => 'ok', notes => 'web'),
    );
    my $volumes;
    my $calls = with_daemon(
        { 'storage.list' => { backups => \@entries, more => $false } },
        sub { $volumes = $PLUGIN->list_volumes('vault', $SCFG, undef, [qw(iso backup snippets)]) },
    );
    is_deeply($calls, [['storage.list', { storage => $STORAGE }]], 'is one call');
    is_deeply([map { $_->{content} } $volumes->@*], [qw(iso snippets), ('backup') x 5],
        'adds ours to the rest');
    my %common = (format => 'vzv', content => 'backup', size => 1024);
    is_deeply(
        $volumes->[2],
        {
            %common,
            volid => volid($entries[0]),
            subtype => 'qemu',
            vmid => 100,
            ctime => 1_700_000_000,
            notes => 'Zürich',
            protected => 1,
        },
        'as PVE wants it, with the first line of the notes',
    );
    is_deeply(
        $volumes->[3],
        {
            %common,
            volid => volid($entries[1]),
            subtype => 'lxc',
            vmid => 101,
            ctime => 1_700_000_100,
        },
        'without notes and protection where there are none',
    );
    is($volumes->[4]->{size}, 0, 'a damaged backup is not hidden');
    my $failed = { state => 'failed', upid => '' };
    is_deeply([map { $_->{verification} } $volumes->@[4 .. 6]], [$failed, $failed, undef],
        'but told as it is of a backup server of theirs');
    is_deeply([map { $_->{notes} } $volumes->@[4 .. 6]], ['DAMAGED', 'DAMAGED: web', 'web'],
        'and in the notes');
    is_deeply([tainted_parts($volumes)], [], 'all of it is untainted');

    $calls = with_daemon({}, sub {
        $volumes = $PLUGIN->list_volumes('vault', $SCFG, undef, [qw(iso vztmpl)]);
    });
    is_deeply($calls, [], 'no call where nobody asks for backups');
    is(scalar($volumes->@*), 2, 'but what the parent has');
    is_deeply($PLUGIN->list_images('vault', $SCFG), [], 'there are no guest disks');
    eval { $PLUGIN->alloc_image('vault', $SCFG, 100, 'raw', undef, 1) };
    like($@, qr/holds no guest disks\n\z/, 'and none can be made');
};

subtest 'listing page by page' => sub {
    my @entries = map { entry(1_700_000_000 + $_) } 0 .. 4;
    my $volumes;
    my $calls = with_daemon(
        {
            'storage.list' => sub {
                my ($params) = @_;
                my @left = grep { $_->{volume} gt ($params->{after} // '') } @entries;
                my @page = splice(@left, 0, 2);
                return { backups => \@page, more => @left ? $true : $false };
            },
        },
        sub { $volumes = $PLUGIN->list_volumes('vault', $SCFG, taint('100'), ['backup']) },
    );
    is_deeply([map { $_->{volid} } $volumes->@*], [map { volid($_) } @entries], 'finds all');
    is_deeply([map { $_->[1]->{after} } $calls->@*],
        [undef, map { $entries[$_]->{volume} } 1, 3], 'asking on after the last');
    is($calls->[0]->[1]->{vmid}, 100, 'of the one guest');
};

subtest 'one volume' => sub {
    my $info = entry(1795321034, notes => "Zürich\nzwei", protected => $true);
    my %size;
    my $calls = with_daemon(
        { 'storage.info' => $info },
        sub {
            is_deeply(
                [$PLUGIN->volume_size_info($SCFG, 'vault', $VOLUME)],
                [1024, 'vzv', 512, undef, 1795321034],
                'has sizes, a format and a time',
            );
            is(scalar($PLUGIN->volume_size_info($SCFG, 'vault', $VOLUME)), 1024, 'or just a size');
            is($PLUGIN->get_volume_attribute($SCFG, 'vault', $VOLUME, 'notes'), "Zürich\nzwei",
                'has its notes whole');
            is($PLUGIN->get_volume_notes($SCFG, 'vault', $VOLUME), "Zürich\nzwei",
                'by the older method too');
            is($PLUGIN->get_volume_attribute($SCFG, 'vault', $VOLUME, 'protected'), 1,
                'is protected');
            is($PLUGIN->get_volume_attribute($SCFG, 'vault', $VOLUME, 'colour'), undef,
                'has no other attributes');
        },
    );
    is_deeply($calls->[0], ['storage.info', { storage => $STORAGE, volume => $VOLUME }],
        'one call');
    with_daemon({ 'storage.info' => entry(1, sizeBytes => 0) }, sub {
        cmp_ok(scalar($PLUGIN->volume_size_info($SCFG, 'vault', $VOLUME)), '>', 0,
            'the size is never 0, which PVE takes for an error');
    });

    my @volume = (storage => $STORAGE, volume => $VOLUME);
    $calls = with_daemon(
        { map { $_ => {} } qw(storage.setNotes storage.setProtected storage.free) },
        sub {
            $PLUGIN->update_volume_attribute($SCFG, 'vault', taint($VOLUME), 'notes', 'Zürich');
            $PLUGIN->update_volume_attribute($SCFG, 'vault', $VOLUME, 'notes', undef);
            $PLUGIN->update_volume_notes($SCFG, 'vault', $VOLUME, 'older');
            $PLUGIN->update_volume_attribute($SCFG, 'vault', $VOLUME, 'protected', '1');
            $PLUGIN->update_volume_attribute($SCFG, 'vault', $VOLUME, 'protected', '0');
            is($PLUGIN->free_image('vault', $SCFG, $VOLUME, undef, 'vzv'), undef,
                'free_image leaves nothing for a background task');
            is($PLUGIN->activate_volume('vault', $SCFG, $VOLUME), undef,
                'activating needs no file');
            eval { $PLUGIN->update_volume_attribute($SCFG, 'vault', $VOLUME, 'colour', 1) };
            like($@, qr/attribute 'colour' is not supported/, 'other attributes are refused');
        },
    );
    is_deeply(
        $calls,
        [
            ['storage.setNotes', { @volume, notes => 'Zürich' }],
            ['storage.setNotes', { @volume, notes => '' }],
            ['storage.setNotes', { @volume, notes => 'older' }],
            ['storage.setProtected', { @volume, protected => JSON::PP::true() }],
            ['storage.setProtected', { @volume, protected => JSON::PP::false() }],
            ['storage.free', {@volume}],
        ],
        'changes are one call each',
    );
    with_daemon({ 'storage.free' => ['E_SNAPSHOT_PROTECTED', 'cannot remove it'] }, sub {
        eval { $PLUGIN->free_image('vault', $SCFG, $VOLUME) };
        like($@, qr/\Acannot remove it \(E_SNAPSHOT_PROTECTED: /, 'a protected one stays');
    });

    my $iso = 'iso/debian.iso';
    $PARENT->@* = ();
    is(scalar($PLUGIN->volume_size_info($SCFG, 'vault', $iso, 5)), 'parent',
        'an ISO image is left to the parent');
    $PLUGIN->get_volume_attribute($SCFG, 'vault', $iso, 'notes');
    $PLUGIN->update_volume_attribute($SCFG, 'vault', $iso, 'notes', 'x');
    $PLUGIN->activate_volume('vault', $SCFG, $iso, undef, {});
    $PLUGIN->free_image('vault', $SCFG, $iso, 0, 'raw');
    is_deeply(
        $PARENT,
        [
            ['volume_size_info', $SCFG, 'vault', $iso, 5],
            ['get_volume_attribute', $SCFG, 'vault', $iso, 'notes'],
            ['update_volume_attribute', $SCFG, 'vault', $iso, 'notes', 'x'],
            ['activate_volume', 'vault', $SCFG, $iso, undef, {}],
            ['free_image', 'vault', $SCFG, $iso, 0, 'raw'],
        ],
        'with all its arguments',
    );
};

done_testing();
