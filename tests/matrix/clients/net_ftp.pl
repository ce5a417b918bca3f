# Perl's Net::FTP as it is, or told to keep one TLS session for all connections to the server.
# Argument: stock or resuming.
use strict;
use warnings;
use Encode qw(decode);
use IO::Socket::SSL;
use JSON::PP;
use Net::FTP;

$| = 1;
my ($kind) = @ARGV;

# Net::FTP keeps TLS sessions by address and port, and the port of each data connection is new.
IO::Socket::SSL::set_args_filter_hack(sub { $_[1]{SSL_session_key} = 'ftps' }) if $kind eq 'resuming';

my @held = $ENV{FTPS_TLS} ? (SSL_version => 'TLSv' . $ENV{FTPS_TLS} =~ s/\./_/r) : ();
my $ftp = Net::FTP->new(
    'localhost',
    Port        => $ENV{FTPS_PORT},
    Passive     => 1,
    Timeout     => 20,
    SSL_ca_file => $ENV{FTPS_AUTHORITY},
    @held,
) or die "no connection: $@";
$ftp->starttls or die 'no TLS: ' . $ftp->message;
$ftp->login($ENV{FTPS_USER}, $ENV{FTPS_PASSWORD}) or die 'no login: ' . $ftp->message;
$ftp->prot('P') or die 'no protection: ' . $ftp->message;
$ftp->binary;

sub say_so { print encode_json({@_}), "\n" }

# Runs one action, which gives what it lists, or nothing after a failure.
sub step {
    my ($action, $what) = @_;
    my $listed = eval { $what->() };
    if   ($listed) { say_so(action => $action, names => $listed) }
    else           { say_so(action => $action, failed => decode('UTF-8', $@ || $ftp->message)) }
}

sub done { $_[0] ? [] : undef }

sub names_in {
    opendir(my $directory, $_[0]) or die $!;
    return sort grep { !/^\./ } readdir $directory;
}

sub each_of {
    my ($what, @names) = @_;
    for my $name (@names) { $what->($name) or return }
    return [];
}

step('list', sub { my $names = $ftp->ls('listed'); $ftp->ok ? $names : undef });
step('upload', sub { done($ftp->put('up', 'up')) });
step('upload-empty', sub { done($ftp->put('empty', 'empty')) });
step('download', sub { done($ftp->get('down', 'down')) });
step('resume-upload', sub {
    my $size = $ftp->size('part-up');
    open(my $source, '<:raw', 'part-up') or die $!;
    seek($source, $size, 0);
    done($ftp->append($source, 'part-up'));
});
step('resume-download', sub { done($ftp->get('part-down', 'part-down', -s 'part-down')) });
step('rename', sub { done($ftp->rename('old', 'new')) });
step('delete', sub { done($ftp->delete('gone')) });
step('names', sub {
    each_of(sub { $ftp->put("names/$_[0]", "names/$_[0]") && $ftp->get("names/$_[0]", "back-names/$_[0]") },
        names_in('names'));
});
step('upload-200', sub { each_of(sub { $ftp->put("many/$_[0]", "many/$_[0]") }, names_in('many')) });
step('download-200', sub { each_of(sub { $ftp->get("store/$_[0]", "back-many/$_[0]") }, names_in('many')) });
$ftp->quit;
