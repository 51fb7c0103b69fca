#!/usr/bin/perl -T

# What a plugin that does not load costs: its sections vanish from storage.cfg at the next `pvesm
# set`.

use strict;
use warnings;

use Test::More;

my %loaded_before;
my @absent;

BEGIN {
    @absent = qw(Data/MessagePack.pm Socket/MsgHdr.pm);
    unshift @INC, sub {
        my ($self, $file) = @_;
        die "$file is not installed\n" if grep { $_ eq $file } @absent;
        return;
    };
    require PVE::Storage;
    %loaded_before = %INC;
}

my $PLUGIN = 'PVE::Storage::Custom::VzvaultPlugin';
ok(eval { require PVE::Storage::Custom::VzvaultPlugin }, 'loads without any XS module') or diag($@);
ok($PLUGIN->isa('PVE::Storage::Plugin'), 'is a storage plugin to PVE');
ok($PLUGIN->can($_), "has $_")
    for qw(api type plugindata properties options check_config parse_volname path list_volumes
    list_images volume_size_info get_volume_attribute update_volume_attribute free_image
    prune_backups status activate_storage deactivate_storage check_connection on_add_hook
    on_update_hook on_update_hook_full on_delete_hook get_identity new_backup_provider);

my @loaded = sort grep { !$loaded_before{$_} && m!\A(?:PVE|Data|Socket|JSON|IO)/! } keys %INC;
my @needed =
    ('PVE/Storage/Custom/VzvaultPlugin.pm', map { "PVE/Vzvault/$_.pm" } qw(Properties Volname));
is_deeply(\@loaded, \@needed, 'loads nothing else of ours until it is used');

my $scfg = { path => '/mnt/vault', content => { backup => 1 } };
my $provider = eval { $PLUGIN->new_backup_provider($scfg, 'vault', sub { }) };
ok($provider, 'makes a backup provider without any XS module') or diag($@);
ok($provider->isa('PVE::BackupProvider::Plugin::Base'), 'which is one to PVE');
ok($provider->can($_), "and has $_")
    for qw(provider_name job_init job_cleanup backup_init backup_cleanup backup_get_mechanism
    backup_handle_log_file backup_vm_query_incremental backup_vm restore_get_mechanism
    archive_get_guest_config archive_get_firewall_config restore_vm_init restore_vm_cleanup
    restore_vm_volume_init restore_vm_volume_cleanup);

eval { $PLUGIN->status('vault', $scfg, {}) };
like($@, qr/Data\/MessagePack\.pm is not installed/, 'only a call misses it');

done_testing();
