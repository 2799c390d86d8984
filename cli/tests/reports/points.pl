# Reads TAP from a file as `prove` does, and prints a line for each point: its number, whether it passed, what it is called and
# what it is skipped for. Exit code 1: it is no TAP, or its plan is wrong.
use strict;
use warnings;
use TAP::Parser;

open my $file, '<:encoding(UTF-8)', $ARGV[0] or die "$ARGV[0]: $!";
binmode STDOUT, ':encoding(UTF-8)';
my $parser = TAP::Parser->new({ tap => do { local $/; <$file> } });
while (my $result = $parser->next) {
    if ($result->is_test) {
        printf "%d|%s|%s|%s\n", $result->number, $result->is_actual_ok ? 'ok' : 'not ok', $result->description, $result->explanation;
    } elsif ($result->is_yaml) {
        my $block = $result->data;
        printf "  %s\n", $block->{severity} // 'none';
    } elsif ($result->is_bailout) {
        printf "bail out: %s\n", $result->explanation;
    } elsif ($result->is_unknown) {
        die 'not TAP: ' . $result->raw;
    }
}
die join("\n", $parser->parse_errors) if $parser->parse_errors;
