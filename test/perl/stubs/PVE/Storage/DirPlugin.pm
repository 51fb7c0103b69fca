package PVE::Storage::DirPlugin;

# Stands in for pve-storage's directory plugin: each method records its call and answers 'parent'.

use strict;
use warnings;

use base qw(PVE::Storage::Plugin);

for my $method (qw(parse_volname filesystem_path volume_size_info get_volume_attribute
    update_volume_attribute activate_volume free_image)) {
    no strict 'refs'; ## no critic (ProhibitNoStrict)
    *{$method} = sub {
        my ($class, @args) = @_;
        push @PVE::Storage::Plugin::CALLS, [$method, @args];
        return 'parent';
    };
}

sub path {
    my ($class, $scfg, $volname, $storeid, $snapname) = @_;

    return $class->filesystem_path($scfg, $volname, $snapname);
}

sub list_volumes {
    my ($class, $storeid, $scfg, $vmid, $content_types) = @_;

    return [map { { volid => "$storeid:$_/file", content => $_ } } $content_types->@*];
}

sub check_config {
    my ($class, $storeid, $config, $create) = @_;

    die "illegal path for directory storage: $config->{path}\n"
        if $create && $config->{path} !~ m|^/[-/a-zA-Z0-9_.@]+$|;
    return { $config->%* };
}

1;
