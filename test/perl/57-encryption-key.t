#!/usr/bin/perl -T

# The storage plugin: the encryption key of a storage, and its file.

use strict;
use warnings;

use File::Temp;
use JSON::PP;
use Test::More;

use Fixtures;
use PVE::Vzvault::EncryptionKey;
use Taint qw(taint tainted_parts);

alarm(120); # a test that hangs shall fail

my $directory = File::Temp->newdir();
$ENV{VZVAULT_KEY_DIR} = "$directory/storage";
my $path = "$directory/storage/vault.enc";
my ($base) = "$directory" =~ m!\A(/tmp/\w+)\z!;

my $table = {
    'daemon.ping' => { version => '0.1.0', pid => 1 },
    'storage.create' => { created => $true, repositoryId => '0123abcd' },
    'storage.unlock' => { repositoryId => '0123abcd' },
};

# As PVE adds a storage; answers the hook's result, the section, and the calls of the daemon.
sub add {
    my ($key, %more) = @_;

    my $scfg = { path => taint("$base/new"), content => { backup => 1 }, %more };
    my %sensitive = defined($key) ? ('encryption-key' => taint($key)) : ();
    my $result;
    my $calls = with_daemon($table, sub {
        $result = eval { $PLUGIN->on_add_hook(taint('vault'), $scfg, %sensitive) };
    });
    my $error = $@;
    return { result => $result, scfg => $scfg, calls => $calls, error => $error };
}

sub file { return PVE::Vzvault::EncryptionKey::get('vault') }

subtest 'a key that is made' => sub {
    my $added = add('autogen');
    my $fingerprint = $added->{scfg}->{'encryption-key'};
    like($fingerprint, qr/\A[0-9a-f]{32}\z/, 'storage.cfg gets its fingerprint, not the key');
    my $key = decode_json(file());
    is($key->{fingerprint}, $fingerprint, 'the file has the key of that fingerprint');
    like($key->{key}, qr!\A[A-Za-z0-9+/]{43}=\z!, '32 bytes of it');
    is($key->{vzvaultKey}, 1, 'in the form that vzvault reads');
    is((stat($path))[2] & 0777, 0600, 'for root only');
    is((stat("$directory/storage"))[2] & 0777, 0700, 'in a directory for root only');
    is_deeply($added->{result}, { 'encryption-key' => file() }, 'PVE shows it once, as for PBS');
    is($added->{calls}->[1]->[0], 'storage.create', 'the daemon makes the repository');
    is($added->{calls}->[1]->[1]->{storage}->{encryptionKey}, $fingerprint, 'and knows of a key');
    my ($encoded) = $key->{key};
    unlike(encode_json($added->{calls}), qr/\Q$encoded\E/, 'which does not go over the socket');
    add('autogen');
    isnt(decode_json(file())->{key}, $encoded, 'it is another every time');
};

subtest 'a key that is given' => sub {
    my $hex = join('', map { sprintf('%02x', $_) } 0 .. 31);
    my $base64 = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
    my $fingerprint = add($hex)->{scfg}->{'encryption-key'};
    is(decode_json(file())->{key}, $base64, 'as hex digits');
    is(add("$base64\n")->{scfg}->{'encryption-key'}, $fingerprint, 'or base64');
    my $text = file();
    is(add($text)->{scfg}->{'encryption-key'}, $fingerprint, 'or a key file');
    is(decode_json(file())->{key}, $base64, 'is kept');
    my $sealed = encode_json({ vzvaultKey => 1, fingerprint => 'f' x 32, sealed => {} });
    my $before = file();
    my @wrong = ('', 'rubbish', '{}', substr($hex, 1), "${hex}00", '[1]', $sealed,
        encode_json({ vzvaultKey => 1, key => 'AAAA' }), '{"data":"a key of PBS"}');
    for my $wrong (@wrong) {
        my $added = add($wrong);
        like($added->{error}, qr/\A(?:the encryption key|the key file) [^\n]+\n\z/, "not '$wrong'");
        is_deeply($added->{calls}, [], 'before anything is made');
    }
    is(file(), $before, 'and the file stays as it was');
};

subtest 'a storage that cannot be added' => sub {
    PVE::Vzvault::EncryptionKey::remove('vault');
    local $table->{'storage.create'} = ['E_KEY_WRONG', 'the key does not open it'];
    my $added = add('autogen');
    like($added->{error}, qr/\Athe key does not open it \(E_KEY_WRONG: /, 'says why');
    is(file(), undef, 'and leaves no key behind');
    $table->{'storage.create'} = ['E_KEY_MISSING', 'it is encrypted'];
    like(add(undef)->{error}, qr/E_KEY_MISSING/, 'nor can an encrypted one be without its key');
};

subtest 'no key' => sub {
    add('autogen');
    my $added = add(undef);
    is(file(), undef, 'a file that was left over is none of the new storage');
    ok(!exists($added->{scfg}->{'encryption-key'}), 'and storage.cfg has none');
    ok(!exists($added->{calls}->[1]->[1]->{storage}->{encryptionKey}), 'nor has the daemon');
    is($added->{result}, undef, 'and there is nothing to show');
};

subtest 'a storage of other nodes' => sub {
    my $added = add('autogen', nodes => { pve2 => 1 });
    is_deeply($added->{calls}, [], 'asks no daemon');
    ok(file(), 'but has its key, which all nodes share');
};

subtest 'another key' => sub {
    my $scfg = { add('autogen')->{scfg}->%* };
    my $before = file();
    my $update = sub {
        my ($value) = @_;
        my $changes = {};
        my $result;
        my $calls = with_daemon($table, sub {
            $result = eval {
                $PLUGIN->on_update_hook_full('vault', $scfg, $changes, [],
                    { 'encryption-key' => $value });
            };
        });
        return ($changes, $calls, $result);
    };
    {
        local $table->{'storage.unlock'} = ['E_KEY_WRONG', 'it does not open'];
        my ($changes) = $update->('autogen');
        like($@, qr/E_KEY_WRONG/, 'has to open the repository');
        is_deeply($changes, {}, 'or nothing changes');
        is(file(), $before, 'not even the file');
    }
    my ($changes, $calls, $result) = $update->('autogen');
    isnt(file(), $before, 'then it takes the place of the other');
    is($changes->{'encryption-key'}, decode_json(file())->{fingerprint}, 'also in storage.cfg');
    is($calls->[0]->[1]->{storage}->{encryptionKey}, $changes->{'encryption-key'}, 'is tried');
    is_deeply($result, { 'encryption-key' => file() }, 'and is shown');

    is($PLUGIN->on_update_hook_full('vault', $scfg, {}, [], {}), undef, 'other changes');
    ok(file(), 'leave it alone');
    $update->(undef);
    is(file(), undef, 'it can be taken away');
    {
        no warnings qw(redefine once);
        local *PVE::Storage::config = sub { return {} };
        local *PVE::Storage::storage_config = sub { return $scfg };
        my $older = {};
        with_daemon($table, sub {
            $PLUGIN->on_update_hook('vault', $older, 'encryption-key' => 'autogen');
        });
        is($older->{'encryption-key'}, decode_json(file())->{fingerprint}, 'by older PVE too');
    }
};

subtest 'a storage that is removed' => sub {
    ok(file(), 'has a key before');
    is($PLUGIN->on_delete_hook('vault', $SCFG), undef, 'leaves the backups alone');
    is(file(), undef, 'but not the key');
    ok(eval { $PLUGIN->on_delete_hook('vault', $SCFG); 1 }, 'twice as well');
    eval { PVE::Vzvault::EncryptionKey::path('../../etc/shadow') };
    like($@, qr/is not a storage id/, 'a storage id is no path');
    is_deeply([tainted_parts(PVE::Vzvault::EncryptionKey::path(taint('vault')))], [], 'its is clean');
};

done_testing();
