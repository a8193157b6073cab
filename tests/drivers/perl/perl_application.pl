# Perl, DBI with DBD::Pg.
use strict;
use warnings;
use DBI;
use DBD::Pg;
use JSON::PP;

$| = 1;
my $json = JSON::PP->new->canonical;
my ($connection, $copying_out);

sub describe {
    my $message = $DBI::errstr // "";
    my $state = $DBI::state // "";
    # ERROR, DETAIL and HINT come in one text.
    return {ok => JSON::PP::false, class => "err " . ($DBI::err // ""), sqlstate => $state, message => $message,
            broken => !$connection || !$connection->ping ? JSON::PP::true : JSON::PP::false};
}

my %commands = (
    version => sub { return {version => "DBD::Pg $DBD::Pg::VERSION"} },
    connect => sub {
        eval { $connection->disconnect } if $connection;    # it may be dead
        $connection = DBI->connect("dbi:Pg:", "", "", {RaiseError => 1, PrintError => 0, AutoCommit => 1});
    },
    begin => sub { $connection->begin_work; $connection->do("SELECT 1") },
    query => sub { $connection->do("SELECT 1") },
    hold => sub { $connection->do("SELECT pg_sleep(3600)") },
    copy_out => sub {
        $copying_out = 1;
        $connection->do("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT");
        my $line;
        $connection->pg_getcopydata($line);
    },
    copy_in => sub {
        $copying_out = 0;
        $connection->do("COPY copied FROM STDIN");
        $connection->pg_putcopydata("a line\n");
    },
    finish => sub {
        my $line;
        if ($copying_out) { while ($connection->pg_getcopydata($line) >= 0) { } }
        else { $connection->pg_putcopyend }
    },
);

while (my $command = <STDIN>) {
    chomp $command;
    my $carry_out = $commands{$command};
    my $answer = {unsupported => JSON::PP::true};
    if ($carry_out) {
        my $more = eval { $carry_out->() };
        $answer = $@ ? describe() : {ok => JSON::PP::true, ref $more eq "HASH" && exists $more->{version} ? %$more : ()};
        $connection = undef if $@ && $command eq "connect";
    }
    print $json->encode($answer), "\n";
}
