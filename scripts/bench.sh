# What scripts/bench and scripts/wear share. Source it after lib.sh; then call `enter "$@"`, which comes back
# inside a network and mount namespace of its own, with a fresh ext4 on a loop device mounted at $DISK, whose
# counters tell what was written. The same job for every relay: smtp-source -> relay -> smtp-sink.

PEERS=$TOP/tests/whole/lab/peers
SINK=127.0.0.25:2525
SIZE=2048
POSTFIX_TREE=$TOP/target/peers/postfix
# Before a tool of the unpacked Postfix: where its libraries are.
TOOL=(env "LD_LIBRARY_PATH=$POSTFIX_TREE/usr/lib/postfix")

# enter SCRIPT ARGUMENT...: builds what is measured, or takes the program that STAGEPOST_BINARY names, and
# starts SCRIPT again inside.
enter() {
    [ "$(id -u)" = 0 ] || die "needs root, for a network namespace and a loop device"
    if [ "${2:-}" != --inside ]; then
        need iproute2 util-linux procps e2fsprogs
        need_rust
        scripts/peers postfix exim
        if [ -n "${STAGEPOST_BINARY:-}" ]; then BINARY=$(realpath "$STAGEPOST_BINARY"); else build_static; fi
        exec unshare --net --mount --pid --fork --kill-child --mount-proc "$TOP/scripts/$1" --inside "$BINARY" "${@:2}"
    fi
    BINARY=$3
    make_disk
    say "disk: ext4 on a loop device over $(findmnt -no SOURCE,FSTYPE -T target/bench/image | tr '\n' ' '), $(nproc) cores"
}

# The kernel lets go of file system and device when we are gone.
make_disk() {
    ip link set lo up
    ip addr add 127.0.0.2/8 dev lo
    mkdir -p target/bench
    rm -rf target/bench/*
    DISK=$TOP/target/bench/disk
    mkdir "$DISK"
    truncate -s 3G target/bench/image
    mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 target/bench/image
    mount -o loop target/bench/image "$DISK"
    DEVICE=$(basename "$(findmnt -no SOURCE "$DISK")")
}

# Bytes written at the block device so far, with what the file system still held back.
written() {
    sync -f "$DISK"
    written_now
}

# The same as it is, without asking for anything.
written_now() { awk '{ printf "%.0f\n", $7 * 512 }' "/sys/block/$DEVICE/stat"; }

# Flushes of the block device so far.
flushes() { awk '{ print $16 }' "/sys/block/$DEVICE/stat"; }

await() {
    local tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 30000 ] || die "waited in vain: $*"
        sleep 0.02
    done
}

listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

start_postfix() {
    mkdir -p target/bench/postfix/upper/lab "$DISK/postfix"
    cp "$PEERS/postfix.sh" target/bench/postfix/upper/lab/start.sh
    # Its queue lies on the measured disk itself, not in an overlay.
    mkdir -p target/bench/postfix/upper/var/spool/postfix
    BIND=$DISK/postfix:/var/spool/postfix sh "$PEERS/overlay.sh" "$TOP/target/peers/postfix" "$TOP/target/bench/postfix" start.sh \
        relay.test "inet_interfaces = 127.0.0.2" "relayhost = [${SINK%:*}]:${SINK#*:}" >target/bench/postfix.log 2>&1 &
    await listens 127.0.0.2 25
}

# The address of the nth domain.
address() { if [ "$1" -le 9 ]; then echo "127.0.0.7$1"; else echo "127.7.$(($1 / 250)).$(($1 % 250 + 1))"; fi; }

# start_stagepost STATEMENT...: DOMAINS domains (default 3) whose mail goes to the sink, and these statements.
start_stagepost() {
    local n
    mkdir -p "$DISK/stagepost"
    {
        printf 'box name relay.test\nbox address 127.0.0.3\nbox port submission off\nbox port submissions off\n'
        for n in $(seq "${DOMAINS:-3}"); do
            printf 'domain d%s.test address %s\ndomain d%s.test client 127.0.0.0/8\n' "$n" "$(address "$n")" "$n"
            printf 'domain d%s.test route default %s\n' "$n" $SINK
        done
        [ $# = 0 ] || printf '%s\n' "$@"
    } >"$DISK/stagepost/config"
    run_stagepost
}

# Starts it with the data that are there; STARTED is the milliseconds until it listened.
run_stagepost() {
    local began
    began=$(date +%s%N)
    "$BINARY" run --data "$DISK/stagepost" >>target/bench/stagepost.log 2>&1 &
    STAGEPOST=$!
    until listens 127.0.0.71 25; do sleep 0.002; done
    STARTED=$((($(date +%s%N) - began) / 1000000))
}

stop_stagepost() { kill $STAGEPOST && wait $STAGEPOST || true; }

# As a power cut would.
kill_stagepost() { kill -9 $STAGEPOST && wait $STAGEPOST 2>/dev/null || true; }

console() { "$BINARY" console --data "$DISK/stagepost" "$@"; }

resident_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

resident() { awk -v k="$(resident_kib "$1")" 'BEGIN { printf "%.1f MB", k / 1024 }'; }

start_sink() {
    "${TOOL[@]}" "$POSTFIX_TREE/usr/sbin/smtp-sink" -u nobody -c $SINK 1000 >target/bench/sink.log 2>&1 &
    SINK_PID=$!
    await listens ${SINK%:*} ${SINK#*:}
}

stop_sink() { kill $SINK_PID && wait $SINK_PID || true; }

# Whether the sink has counted this many messages.
sunk() { [ "$(tail -c 80 target/bench/sink.log | tr '\r' '\n' | sed -n 's/.*mesg=//p' | tail -n1)" -ge "$1" ]; }

# send HOST:PORT SESSIONS COUNT: hands over COUNT messages.
send() {
    "${TOOL[@]}" "$POSTFIX_TREE/usr/sbin/smtp-source" -s "$2" -m "$3" -l $SIZE -f b1@d1.test -t x1@xyz.test -M d1.test "$1"
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.1fx", a / b; else print "-" }'; }
