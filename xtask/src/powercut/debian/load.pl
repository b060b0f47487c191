# What a Debian guest does until its power is cut: `load.pl SEED run`. Each step is durable before the next one begins, which writes its number, so
# a record on its way to the disk proves all steps before it. `load.pl SEED check ACKED` looks for what ACKED steps leave. The host does too
# (files.rs), and knows each byte of a record (record.rs).
use strict;
use warnings;
no warnings "portable";
use Fcntl;
use IO::Handle;

my $FOLDER = "/var/lib/cuts";
my $RECORD = 1000;    # bytes
my $KEPT   = 6;       # files of the latest steps that are there
my $PARCEL = 25;      # steps from one package to the next
my $LAST   = 9;       # versions that there are

my ($seed, $task, $acked) = @ARGV;
STDOUT->autoflush(1);

sub record {
    use integer;
    my ($number) = @_;
    my $x = $seed * 0x5851f42d4c957f2d + $number;
    my $text = sprintf "domus-record %08x %08x\n", $seed, $number;
    for (1 .. 57) {
        $x = $x * 0x5851f42d4c957f2d + 0x14057b7ef767814f;
        $text .= sprintf "%016x\n", $x;
    }
    return $text;
}

sub contents {
    my ($path) = @_;
    open(my $file, "<", $path) or return "";
    local $/;
    my $text = <$file>;
    return defined $text ? $text : "";
}

# The records that the journal begins with.
sub whole {
    my $text = contents("$FOLDER/journal");
    my $count = 0;
    $count++ while substr($text, $count * $RECORD, $RECORD) eq record($count + 1);
    return $count;
}

sub append {
    my ($file, $text) = @_;
    my $count = syswrite($file, $text);
    die "cannot write: $!\n" unless defined $count && $count == length $text;
    $file->sync or die "cannot sync: $!\n";
}

sub put {
    my ($path, $text) = @_;
    sysopen(my $file, $path, O_WRONLY | O_CREAT | O_TRUNC) or die "$path: $!\n";
    append($file, $text);
    close $file;
}

sub sync_folder {
    my ($path) = @_;
    open(my $folder, "<", $path) or die "$path: $!\n";
    $folder->sync or die "$path: $!\n";
}

# All of a step but its record in the journal. Done twice it is as done once.
sub finish {
    my ($number) = @_;
    my $record = record($number);
    put("$FOLDER/new", $record);
    rename("$FOLDER/new", "$FOLDER/current") or die "cannot rename: $!\n";
    sync_folder($FOLDER);
    put("$FOLDER/kept/$number", $record);
    unlink("$FOLDER/kept/" . ($number - $KEPT));
    sync_folder("$FOLDER/kept");
    my $version = $number / $PARCEL;
    if ($number % $PARCEL == 0 && $version <= $LAST) {
        system("dpkg -i /mnt/parcel_$version.deb >/dev/null") == 0 or die "dpkg failed\n";
    }
    print "acked $number\n";
}

sub run {
    mkdir $FOLDER;
    mkdir "$FOLDER/kept";
    sync_folder("/var/lib");
    my $number = whole();
    sysopen(my $journal, "$FOLDER/journal", O_WRONLY | O_CREAT | O_APPEND) or die "journal: $!\n";
    truncate($journal, $number * $RECORD) or die "cannot truncate: $!\n";
    finish($number) if $number > 0;
    for (;;) {
        append($journal, record(++$number));
        finish($number);
    }
}

sub check {
    my $whole = whole();
    die "$acked records are acknowledged, and $whole are there\n" if $whole < $acked;
    # The step of the last record may be unfinished, unless it is acknowledged; no other may.
    my $done = $acked > $whole - 1 ? $acked : $whole - 1;
    if ($done > 0) {
        my $current = contents("$FOLDER/current");
        die "current is another\n" unless $current eq record($done) || $current eq record($whole);
    }
    for my $number ($whole - $KEPT + 1 .. $done) {
        die "kept/$number is not as written\n" if $number > 0 && contents("$FOLDER/kept/$number") ne record($number);
    }
    print "journal: sound up to $whole\n";
}

eval { $task eq "run" ? run() : check(); 1 } or print "journal: failure: $@";
print "journal: end\n";
