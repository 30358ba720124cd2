# What the scripts for boards share. Source it after scripts/lib.sh.

# Fixed, so that the same sources give the same bytes.
export SOURCE_DATE_EPOCH=1700000000
SIGNATURE=53545053
KERNEL_OPTIONS='quiet loglevel=3 panic=1 i6300esb.heartbeat=30 iTCO_wdt.heartbeat=30 softdog.soft_margin=30'

boards() { find board -mindepth 2 -name board.conf -printf '%h\n' | sed 's|board/||' | sort | paste -sd' '; }

# load_board NAME: its data as variables; $BOARD and $OUT besides.
load_board() {
    BOARD=${1:-}
    [ -n "$BOARD" ] && [ -f "board/$BOARD/board.conf" ] || die "name a board: $(boards)"
    # shellcheck disable=SC1090
    . "board/$BOARD/board.conf"
    OUT=$TOP/target/firmware/$BOARD
    mkdir -p "$OUT"
}

# qemu_accel: kvm where a kernel really starts under it, else tcg. The probe starts the board's own kernel
# without a root: under a KVM that works, its panic is on the console within seconds. The verdict is kept
# until this machine is started anew.
qemu_accel() {
    local log=$OUT/kvm-probe.log verdict=$OUT/kvm-verdict boot
    [ "$arch" = x86 ] && [ "$(uname -m)" = x86_64 ] && [ -w /dev/kvm ] || { echo tcg; return; }
    boot=$(cat /proc/sys/kernel/random/boot_id)
    if [ "$(head -n 1 "$verdict" 2>/dev/null)" != "$boot" ]; then
        timeout 10 $qemu -accel kvm -m 128 -display none -monitor none -serial "file:$log" -no-reboot -nic none \
            -kernel "$OUT/kernel" -append "console=$console panic=-1" </dev/null >/dev/null 2>&1 || true
        { echo "$boot"; if grep -q 'Kernel panic' "$log" 2>/dev/null; then echo kvm; else echo tcg; fi; } >"$verdict"
    fi
    tail -n 1 "$verdict"
}
