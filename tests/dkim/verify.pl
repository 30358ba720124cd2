# Checks every DKIM signature of a message with Mail::DKIM; prints one line for each.
#
# usage: perl verify.pl MESSAGE RECORDS     RECORDS has one `NAME VALUE` a line, in place of the DNS

use strict;
use warnings;
use Mail::DKIM::Verifier;
use Mail::DKIM::PublicKey;

my ($message, $records) = @ARGV;
my %records;
open my $lines, '<', $records or die "$records: $!";
while (<$lines>) {
    chomp;
    my ($name, $value) = split / /, $_, 2;
    $records{$name} = $value;
}

no warnings 'redefine';
*Mail::DKIM::PublicKey::fetch_async = sub {
    my ($class, %query) = @_;
    my $value = $records{"$query{Selector}._domainkey.$query{Domain}"};
    my $key = defined $value ? $class->parse($value) : undef;
    return sub { $query{Callbacks}{Success} ? $query{Callbacks}{Success}->($key) : $key };
};

my $verifier = Mail::DKIM::Verifier->new;
open my $bytes, '<:raw', $message or die "$message: $!";
$verifier->PRINT(do { local $/; <$bytes> });
$verifier->CLOSE;
printf "%s %s\n", $_->result, $_->algorithm for $verifier->signatures;
