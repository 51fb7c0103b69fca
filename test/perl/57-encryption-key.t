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

# The fingerprints of the keys that are kept beside.
sub kept {
    my @kept = sort map { m/\.old\.([0-9a-f]{32})\z/ ? $1 : () } glob("$base/storage/vault.enc.*");
    return @kept;
}

sub forget_all { unlink(map { m/\A(.*)\z/ } glob("$base/storage/*")) }

# As PVE changes a storage; answers as add() does, and the changes in place of the section.
sub update {
    my ($scfg, $value, $changes, $delete) = @_;

    $changes //= {};
    my $result;
    my $calls = with_daemon($table, sub {
        $result = eval {
            my $sensitive = { 'encryption-key' => defined($value) ? taint($value) : undef };
            $PLUGIN->on_update_hook_full(taint('vault'), $scfg, $changes, $delete, $sensitive);
        };
    });
    my $error = $@;
    return { result => $result, changes => $changes, calls => $calls, error => $error };
}

# Runs the code, and answers what it warned of.
sub warnings_of {
    my ($code) = @_;

    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, $_[0] };
    $code->();
    return join('', @warnings);
}

# A daemon's storage.unlock that knows one key only.
sub opened_by {
    my ($fingerprint) = @_;

    return sub {
        my ($params) = @_;
        return { repositoryId => '0123abcd' } if $params->{storage}->{encryptionKey} eq $fingerprint;
        return ['E_KEY_WRONG', 'it does not open'];
    };
}

my $HEX = join('', map { sprintf('%02x', $_) } 0 .. 31);
my $OTHER = '5a' x 32;
my $OTHER_FINGERPRINT = PVE::Vzvault::EncryptionKey::from_value($OTHER)->{fingerprint};

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
    forget_all();
    add('autogen');
    isnt(decode_json(file())->{key}, $encoded, 'it is another every time');
};

subtest 'a key that is given' => sub {
    my $base64 = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=';
    my $fingerprint = add($HEX)->{scfg}->{'encryption-key'};
    is(decode_json(file())->{key}, $base64, 'as hex digits');
    is(add("$base64\n")->{scfg}->{'encryption-key'}, $fingerprint, 'or base64');
    my $text = file();
    is(add($text)->{scfg}->{'encryption-key'}, $fingerprint, 'or a key file');
    is(decode_json(file())->{key}, $base64, 'is kept');
    my $sealed = encode_json({ vzvaultKey => 1, fingerprint => 'f' x 32, sealed => {} });
    my $before = file();
    my @wrong = ('', 'rubbish', '{}', substr($HEX, 1), "${HEX}00", '[1]', $sealed,
        encode_json({ vzvaultKey => 1, key => 'AAAA' }), '{"data":"a key of PBS"}');
    for my $wrong (@wrong) {
        my $added = add($wrong);
        like($added->{error}, qr/\A(?:the encryption key|the key file) [^\n]+\n\z/, "not '$wrong'");
        is_deeply($added->{calls}, [], 'before anything is made');
    }
    is(file(), $before, 'and the file stays as it was');
};

subtest 'a storage that cannot be added' => sub {
    forget_all();
    local $table->{'storage.create'} = ['E_KEY_WRONG', 'the key does not open it'];
    my $added = add('autogen');
    like($added->{error}, qr/\Athe key does not open it \(E_KEY_WRONG: /, 'says why');
    is(file(), undef, 'and leaves no key behind');
    is_deeply([kept()], [], 'not even beside');
    $table->{'storage.create'} = ['E_KEY_MISSING', 'it is encrypted'];
    like(add(undef)->{error}, qr/E_KEY_MISSING/, 'nor can an encrypted one be without its key');
    unlike(add(undef)->{error}, qr/kept/, 'of which nobody knows');
    PVE::Vzvault::EncryptionKey::put('vault', PVE::Vzvault::EncryptionKey::from_value($HEX)->{text});
    PVE::Vzvault::EncryptionKey::set_aside('vault');
    my ($kept) = kept();
    my $says = qr/; a key is kept in $path\.old\.$kept; add the/;
    like(add(undef)->{error}, qr/\(E_KEY_MISSING: .*$says [^\n]+\)\n\z/, 'unless it is kept');
};

subtest 'a repository whose making nobody confirmed' => sub {
    for my $error (['E_CONNECTION_LOST', 'gone'], ['E_STORAGE_TIMEOUT', 'too slow']) {
        forget_all();
        local $table->{'storage.create'} = $error;
        my $added = add('autogen');
        my $fingerprint = $added->{scfg}->{'encryption-key'};
        is(file(), undef, "$error->[0]: the storage has no key");
        is_deeply([kept()], [$fingerprint], 'but it is kept');
        is((stat("$path.old.$fingerprint"))[2] & 0777, 0600, 'for root only');
        my $says = qr/$error->[0]: [^\n]+; a key is kept in $path\.old\.$fingerprint; add the/;
        like($added->{error}, qr/\A$error->[1] \($says storage again [^\n]+\)\n\z/, 'which it says');

        local $table->{'storage.create'} = { created => $false, repositoryId => '0123abcd' };
        local $table->{'storage.unlock'} = opened_by($fingerprint);
        my $again;
        like(warnings_of(sub { $again = add('autogen') }), qr/$path\.old\.$fingerprint\n/, 'autogen');
        is($again->{scfg}->{'encryption-key'}, $fingerprint, 'takes it where it opens what is there');
        is(decode_json(file())->{fingerprint}, $fingerprint, 'as the key of the storage');
        is_deeply($again->{result}, { 'encryption-key' => file() }, 'and shows it');
        is_deeply([tainted_parts($again->{result})], [], 'clean');
        is_deeply([kept()], [], 'and keeps no other copy');
    }
    forget_all();
    local $table->{'storage.create'} = ['E_STORAGE_FULL', 'no room'];
    my $first = add('autogen')->{scfg}->{'encryption-key'};
    local $table->{'storage.unlock'} = ['E_REPOSITORY_MISSING', 'nothing there'];
    $table->{'storage.create'} = { created => $true, repositoryId => '0123abcd' };
    my $added = add('autogen');
    isnt($added->{scfg}->{'encryption-key'}, $first, 'where none was made another key is as good');
    is_deeply([kept()], [$first], 'and the first one stays');
    is_deeply([map { $_->[0] } $added->{calls}->@*], [qw(daemon.ping storage.unlock storage.create)],
        'it was tried before');
    $table->{'storage.unlock'} = ['E_STORAGE_TIMEOUT', 'too slow'];
    my $before = join(' ', sort(kept(), decode_json(file())->{fingerprint}));
    like(add('autogen')->{error}, qr/E_STORAGE_TIMEOUT/, 'where it cannot be tried');
    is(join(' ', kept()), $before, 'no key is lost');
    is(file(), undef, 'and none is taken');
};

subtest 'a storage that cannot be activated' => sub {
    forget_all();
    my $added = add('autogen');
    my $fingerprint = $added->{scfg}->{'encryption-key'};
    my $warned = warnings_of(sub { $PLUGIN->on_delete_hook(taint('vault'), $added->{scfg}) });
    like($warned, qr/\A[^\n]+ kept in $path\.old\.$fingerprint; [^\n]+ autogen [^\n]+\n\z/, 'says so');
    is_deeply([kept()], [$fingerprint], 'its key, which nobody has seen, is there');
    local $table->{'storage.unlock'} = opened_by($fingerprint);
    warnings_of(sub { $added = add('autogen') });
    is($added->{scfg}->{'encryption-key'}, $fingerprint, 'for the next attempt');
};

subtest 'no key' => sub {
    forget_all();
    my $left_over = add('autogen')->{scfg}->{'encryption-key'};
    my $added = add(undef);
    is(file(), undef, 'a file that was left over is none of the new storage');
    is_deeply([kept()], [$left_over], 'but is kept');
    ok(!exists($added->{scfg}->{'encryption-key'}), 'and storage.cfg has none');
    ok(!exists($added->{calls}->[1]->[1]->{storage}->{encryptionKey}), 'nor has the daemon');
    is($added->{result}, undef, 'and there is nothing to show');
};

subtest 'keys that were left over' => sub {
    forget_all();
    my $first = add('autogen')->{scfg}->{'encryption-key'}; # killed before storage.cfg was written
    local $table->{'storage.unlock'} = opened_by($first);
    my $added;
    warnings_of(sub { $added = add('autogen') });
    is($added->{scfg}->{'encryption-key'}, $first, 'one in its place is tried as well');
    $added = add($OTHER);
    is($added->{scfg}->{'encryption-key'}, $OTHER_FINGERPRINT, 'one that is given comes first');
    is_deeply([kept()], [$first], 'and the other is kept');
    warnings_of(sub { $added = add('autogen') });
    is($added->{scfg}->{'encryption-key'}, $first, 'of several the one that opens is taken');
    is_deeply([kept()], [$OTHER_FINGERPRINT], 'and none is lost');

    forget_all();
    PVE::Tools::file_set_contents($path, "autogen\n", 0600);
    PVE::Tools::file_set_contents("$path.old." . 'f' x 32, 'rubbish', 0600);
    add($HEX);
    is(scalar(my @all = kept()), 2, 'what is no key is kept');
    is_deeply(PVE::Vzvault::EncryptionKey::kept('vault'), [], 'but not tried');
};

subtest 'a storage of other nodes' => sub {
    forget_all();
    my $added = add('autogen', nodes => { pve2 => 1 });
    is_deeply($added->{calls}, [], 'asks no daemon');
    ok(file(), 'but has its key, which all nodes share');
};

subtest 'another key' => sub {
    forget_all();
    my $scfg = { add($HEX)->{scfg}->%* };
    my $before = file();
    {
        local $table->{'storage.unlock'} = sub {
            my ($kept) = kept();
            return ['E_KEY_WRONG', sprintf('%s %o', $kept, (stat("$path.old.$kept"))[2] & 0777)];
        };
        my $updated = update($scfg, $OTHER);
        like($updated->{error}, qr/\A$scfg->{'encryption-key'} 600 \(E_KEY_WRONG/,
            'has to open the repository, while the one from before is on disk, for root only');
        is_deeply($updated->{changes}, {}, 'or nothing changes');
        is(file(), $before, 'not even the file');
        is_deeply([kept()], [], 'and nothing is left of it');
    }
    my $updated = update($scfg, $OTHER);
    is($updated->{error}, '', 'then');
    is(decode_json(file())->{fingerprint}, $OTHER_FINGERPRINT, 'it takes the place of the other');
    is($updated->{changes}->{'encryption-key'}, $OTHER_FINGERPRINT, 'also in storage.cfg');
    is($updated->{calls}->[0]->[1]->{storage}->{encryptionKey}, $OTHER_FINGERPRINT, 'is tried');
    is_deeply($updated->{result}, { 'encryption-key' => file() }, 'and is shown');
    is_deeply([kept()], [], 'and the other, which is not needed any more, is gone');

    is($PLUGIN->on_update_hook_full('vault', $scfg, {}, [], {}), undef, 'other changes');
    ok(file(), 'leave it alone');
    no warnings qw(redefine once);
    local *PVE::Storage::config = sub { return {} };
    local *PVE::Storage::storage_config = sub { return $scfg };
    my $older = {};
    with_daemon($table, sub { $PLUGIN->on_update_hook('vault', $older, 'encryption-key' => $HEX) });
    is($older->{'encryption-key'}, decode_json(file())->{fingerprint}, 'by older PVE too');
};

subtest 'a key that cannot be tried' => sub {
    forget_all();
    my $scfg = { add($HEX)->{scfg}->%* };
    my $before = file();
    my $refused = qr/\Athe encryption key of vault is not changed: [^\n]+ \(E_ARGUMENT_INVALID: [^\n]+\n\z/;
    for my $unused ({ disable => 1 }, { nodes => { pve2 => 1 } }) {
        my $updated = update({ $scfg->%*, $unused->%* }, $OTHER);
        like($updated->{error}, $refused, join('', keys $unused->%*) . ': is refused');
        like($updated->{error}, qr/run it on a node that does/, 'with what to do');
        is_deeply([$updated->@{qw(calls changes)}], [[], {}], 'and nothing happens');
        is(file(), $before, 'also to the file');
        $updated = update({ $scfg->%*, $unused->%* }, $HEX);
        is($updated->{error}, '', 'the same key given again is none of that');
        is_deeply($updated->{changes}, { 'encryption-key' => $scfg->{'encryption-key'} }, 'and stays');
        is(file(), $before, 'as it is');
    }
    like(update($scfg, $OTHER, { disable => 1 })->{error}, $refused, 'nor while it is disabled');
    my $updated = update({ $scfg->%*, disable => 1 }, $OTHER, { disable => 0 });
    is($updated->{calls}->[0]->[0], 'storage.unlock', 'but while it is enabled');
    $updated = update({ $scfg->%*, nodes => { pve2 => 1 } }, $HEX, {}, ['nodes']);
    is($updated->{calls}->[0]->[0], 'storage.unlock', 'or given to all nodes');
    is($updated->{changes}->{'encryption-key'}, $scfg->{'encryption-key'}, 'it is');

    $before = file();
    for my $section ($scfg, { $scfg->%*, disable => 1 }) {
        $updated = update($section, 'autogen');
        like($updated->{error}, $refused, 'a new random key is never taken');
        like($updated->{error}, qr/vzvault key add/, 'with what to do');
        is_deeply([$updated->@{qw(calls changes)}], [[], {}], 'nor tried');
        is(file(), $before, 'and the file stays');
    }
    PVE::Vzvault::EncryptionKey::remove('vault');
    my $plain = { path => $scfg->{path}, content => { backup => 1 } };
    local $table->{'storage.unlock'} = ['E_SUITE_MISMATCH', 'it is not encrypted'];
    like(update($plain, $HEX)->{error}, qr/E_SUITE_MISMATCH/, 'a storage in plain takes none');
    is_deeply([scalar(file()), kept()], [undef], 'and has none then');
    like(update($plain, 'autogen')->{error}, $refused, 'nor a new one');
};

# Ends a change of the key to $OTHER as a reset of the node does, before the new one was tried.
sub cut_short {
    my ($when) = @_;

    my $pid = fork() // die "fork: $!\n";
    if ($pid == 0) {
        my $die = sub { kill('KILL', $$); sleep(60) };
        no warnings qw(redefine);
        local *PVE::Vzvault::EncryptionKey::put = $die if $when eq 'before';
        my $text = PVE::Vzvault::EncryptionKey::from_value($OTHER)->{text};
        PVE::Vzvault::EncryptionKey::replace('vault', $text, $die);
    }
    waitpid($pid, 0);
    return $?;
}

subtest 'a change that was cut short' => sub {
    for my $when (qw(before after)) {
        forget_all();
        my $scfg = { add($HEX)->{scfg}->%* };
        my $before = file();
        is(cut_short($when), 9, "$when the new key is there");
        is_deeply([kept()], [$scfg->{'encryption-key'}], 'the one from before is kept');
        local $table->{'storage.unlock'} = opened_by($scfg->{'encryption-key'});
        my $updated;
        my $warned = warnings_of(sub { $updated = update($scfg, $OTHER) });
        my $expected = $when eq 'after' ? qr/\A[^\n]+ cut short; [^\n]+\n\z/ : qr/\A\z/;
        like($warned, $expected, 'the next one says so');
        like($updated->{error}, qr/E_KEY_WRONG/, 'and tries its key');
        is(file(), $before, 'with the old one back in its place');
        is_deeply([kept()], [], 'and only there');
    }
    forget_all();
    my $scfg = { add($HEX)->{scfg}->%* };
    cut_short('after');
    local $table->{'storage.unlock'} = opened_by($scfg->{'encryption-key'});
    my ($kept) = PVE::Vzvault::EncryptionKey::kept('vault')->@*;
    my $text = do { local (@ARGV, $/) = $kept->{path}; readline() };
    my $updated;
    warnings_of(sub { $updated = update($scfg, $text) });
    is($updated->{error}, '', 'by hand the kept file is given');
    is(decode_json(file())->{fingerprint}, $scfg->{'encryption-key'}, 'and is the key');
    cut_short('after');
    like(warnings_of(sub { $PLUGIN->on_delete_hook('vault', $scfg) }), qr/$kept->{path};/,
        'a storage that is removed leaves the right one');
    is_deeply([kept()], [$scfg->{'encryption-key'}], 'only');
};

subtest 'a key that is taken away' => sub {
    forget_all();
    my $scfg = { add($HEX)->{scfg}->%* };
    my $fingerprint = $scfg->{'encryption-key'};
    my $warned = warnings_of(sub { update($scfg, undef) });
    is(file(), undef, 'is none of the storage any more');
    is_deeply([kept()], [$fingerprint], 'but is kept');
    my $says = qr/kept in $path\.old\.$fingerprint; [^\n]+; delete it/;
    like($warned, qr/\A[^\n]+ $says [^\n]+\n\z/, 'which it says');
    my $without = { path => $scfg->{path}, content => { backup => 1 } };
    is(warnings_of(sub { update($without, undef) }), '', 'nothing is said where there is none');
    is(update($without, $HEX)->{error}, '', 'it can be given back');
    is_deeply([kept()], [], 'and is not kept twice');
};

subtest 'a storage that is removed' => sub {
    forget_all();
    my $scfg = { add('autogen')->{scfg}->%* };
    my $warned = warnings_of(sub {
        is($PLUGIN->on_delete_hook(taint('vault'), $scfg), undef, 'leaves the backups alone');
    });
    is(file(), undef, 'but has no key any more');
    is_deeply([kept()], [$scfg->{'encryption-key'}], 'which is kept');
    like($warned, qr/ kept in $path\.old\.$scfg->{'encryption-key'}; /, 'and it says where');
    $warned = warnings_of(sub {
        ok(eval { $PLUGIN->on_delete_hook('vault', $scfg); 1 }, 'twice as well');
    });
    is($warned, '', 'in silence');
    is_deeply([kept()], [$scfg->{'encryption-key'}], 'and without harm');
    eval { PVE::Vzvault::EncryptionKey::path('../../etc/shadow') };
    like($@, qr/is not a storage id/, 'a storage id is no path');
    is_deeply([tainted_parts(PVE::Vzvault::EncryptionKey::path(taint('vault')))], [], 'its is clean');
};

done_testing();
