#!/usr/bin/perl -T

# A storage comes, changes and goes with pvesm.

use strict;
use warnings;

use Test::More;

use Node;

storage_cfg();
my $cfg = sub { return slurp('/etc/pve/storage.cfg') };
my $section = sub { return $cfg->() =~ m/^vzvault: $_[0]\n((?:\t.*\n)*)/m ? $1 : undef };

my @add = ('add', 'vzvault');
my ($output, $code) = pvesm(@add, 'vault', '--path', '/var/lib/new/vault');
isnt($code, 0, 'without a daemon no storage is added');
one_line_error($output, 'E_DAEMON_UNREACHABLE', 'and one line says why');
is($section->('vault'), undef, 'nothing is left in storage.cfg');

start_daemon();
($output, $code) = pvesm(@add, 'vault', '--path', '/var/lib/new/vault/', '--content', 'backup,iso',
    '--vzvault-chunk-size', '1M');
is($code, 0, 'adding a storage with a new directory');
ok(-f '/var/lib/new/vault/vzvault/config', 'makes directory and repository');
ok(-d '/var/lib/new/vault/template/iso', 'and the directories of other content');
ok(!-e '/var/lib/new/vault/dump', 'but not the one of plain vzdump archives');
like($section->('vault'), qr!^\tpath /var/lib/new/vault$!m, 'its path is canonical');
like($section->('vault'), qr!^\tvzvault-chunk-size 1M$!m, 'its chunk size is written down');
my $config = slurp('/var/lib/new/vault/vzvault/config');
like($config, qr/1048576/, 'and that of the repository');

($output, $code) = pvesm('status');
like($output, qr/^vault\s+vzvault\s+active\s+[1-9]\d*\s+\d+\s+[1-9]\d*\s/m, 'it is active');
my ($status) = grep { $_->{storage} eq 'vault' } api('PVE::API2::Storage::Status', 'index')->@*;
ok($status->{active}, 'also to the API, in a process that is tainted');
is(pvesm('list', 'vault') =~ s/^Volid .*\n//r, '', 'and empty');

is((pvesm('set', 'vault', '--prune-backups', 'keep-last=3', '--shared', '1'))[1], 0, 'pvesm set');
like($section->('vault'), qr/^\tprune-backups keep-last=3$/m, 'changes options');
is((pvesm('set', 'vault', '--delete', 'shared'))[1], 0, 'pvesm set --delete');
unlike($section->('vault'), qr/shared/, 'removes options');
isnt((pvesm('set', 'vault', '--vzvault-chunk-size', '4M'))[1], 0, 'the chunk size is fixed');
my @mechanism = ('set', 'vault', '--vzvault-vm-mechanism');
is((pvesm(@mechanism, 'file-handle'))[1], 0, 'the mechanism can be set');
like($section->('vault'), qr/^\tvzvault-vm-mechanism file-handle$/m, 'and is written down');
isnt((pvesm(@mechanism, 'tar'))[1], 0, 'one that is none is refused');
isnt((pvesm('set', 'vault', '--is_mountpoint', 'maybe'))[1], 0,
    'a mount point that is none is refused');
unlike(pvesm('set', 'vault', '--content', 'images'), qr!^\s*$!, 'guest disks are refused');

my @other = ('--path', '/var/lib/new/vault', '--vzvault-chunk-size', '512K');
($output, $code) = pvesm(@add, 'again', @other);
is($code, 0, 'a second storage on the same repository');
is(slurp('/var/lib/new/vault/vzvault/config'), $config, 'leaves it as it is');

($output, $code) = pvesm(@add, 'unmounted', '--path', '/mnt/nothing', '--is_mountpoint', 'yes');
isnt($code, 0, 'nothing is added where nothing is mounted');
like($output, qr/\((?:E_NOT_MOUNTED|E_PATH_MISSING): /, 'and the error says so');
ok(!-e '/mnt/nothing', 'the mount point is not made');
($output, $code) = pvesm(@add, 'missing', '--path', '/mnt/nothing', '--create-base-path', '0');
one_line_error($output, 'E_PATH_MISSING', 'nor a directory that shall not be made');
isnt((pvesm(@add, 'climbs', '--path', '/var/lib/../etc'))[1], 0, 'a path that climbs is refused');
isnt((pvesm(@add, 'odd', '--path', '/var/lib/odd', '--vzvault-chunk-size', '3M'))[1], 0,
    'an odd chunk size is refused');
unlike($cfg->(), qr/unmounted|missing|climbs|odd/, 'none of them is in storage.cfg');

my $tainted = substr($ENV{PVE_SRC}, 0, 0);
my %add = (type => 'vzvault', storage => "api$tainted", path => "/var/lib/api/vault$tainted");
ok(eval { api('PVE::API2::Storage::Config', 'create', %add); 1 }, 'the API adds one') or diag($@);
ok(-f '/var/lib/api/vault/vzvault/config', 'with its repository');
ok(eval { api('PVE::API2::Storage::Config', 'update', storage => 'api', shared => 1); 1 },
    'and changes it') or diag($@);

is((pvesm('remove', $_))[1], 0, "removing $_") for qw(again api vault);
ok(-f '/var/lib/new/vault/vzvault/config', 'leaves the repository');
is($section->('vault'), undef, 'and no section');

# a repository that went away is never made anew by activation
is((pvesm(@add, 'vault', '--path', '/var/lib/new/vault'))[1], 0, 'added again');
rename('/var/lib/new/vault/vzvault', '/var/lib/new/elsewhere') or die "rename: $!\n";
($output, $code) = pvesm('status');
one_line_error($output, 'E_REPOSITORY_MISSING', 'a repository that went away is one line');
like($output, qr/^vault\s+vzvault\s+inactive/m, 'the storage is inactive');
like($output, qr/^local\s+dir\s+active/m, 'the others are not');
ok(!-e '/var/lib/new/vault/vzvault', 'and nothing is made in its place');

finish();
