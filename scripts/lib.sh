# What the scripts share. Source it; it leaves the shell in the project's top directory.
# It installs Debian packages only where they are missing, and says so.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
TOP=$PWD
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() { say "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else
        command -v sudo >/dev/null || die "needs root to run: $* (log in as root, or install sudo)"
        sudo "$@"
    fi
}

# The package index, fetched once a run and only when something is missing.
apt_index() {
    [ -z "${APT_INDEX_READY:-}" ] || return 0
    say "fetching Debian's package index"
    as_root apt-get update -qq >/dev/null || say "apt-get update failed; trying with the index at hand" >&2
    APT_INDEX_READY=yes
}

# need PACKAGE...: installs the Debian packages that are not installed yet.
need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    apt_index
    say "installing ${missing[*]}"
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install ${missing[*]}"
}

# need_rust: a cargo that is new enough for Cargo.toml's rust-version.
need_rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    need gcc libc6-dev
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    if ! command -v cargo >/dev/null; then
        command -v rustup >/dev/null || need_rustup "$wanted"
        say "installing the stable Rust toolchain through rustup"
        rustup toolchain install stable --profile minimal --component clippy,rustfmt >/dev/null
        rustup default stable >/dev/null
    fi
    have=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n1)" = "$wanted" ] ||
        die "cargo $have is too old, $wanted is needed: rustup toolchain install stable && rustup default stable"
}

# Debian 13 packages rustup; Debian 12 does not, and its own cargo is too old.
need_rustup() {
    apt_index
    apt-cache show rustup >/dev/null 2>&1 ||
        die "Rust $1 is needed and this Debian packages neither it nor rustup: install rustup from https://rustup.rs"
    need rustup
}

# static_target: the Rust target whose release binary is static on this machine.
static_target() { printf '%s-unknown-linux-musl\n' "$(uname -m)"; }

# need_target TARGET: Rust's own library for it, which comes with the C library that is linked in.
need_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$1/lib" ] && return
    command -v rustup >/dev/null || die "this Rust cannot build for $1: install rustup from https://rustup.rs"
    say "installing Rust's library for $1"
    rustup target add "$1" >/dev/null || die "rustup could not install the library for $1"
}

# static_flags: for rustc. The linker is Rust's own for every processor. The program dies where it panics, so it
# carries no tables for unwinding, neither its own nor those of the libraries; relative relocations are bits, not
# 24 bytes each; functions that came out the same are one. No path of this machine gets into it.
static_flags() {
    local home=${CARGO_HOME:-$HOME/.cargo} source
    local flags="-C linker=rust-lld -C force-unwind-tables=no --remap-path-prefix=$TOP=."
    flags+=" -C link-arg=-Tscripts/static.ld -C link-arg=--pack-dyn-relocs=relr -C link-arg=--icf=all"
    cargo fetch --quiet
    for source in "$home"/registry/src/*/; do flags+=" --remap-path-prefix=${source%/}=crates"; done
    echo "$flags"
}

# build_static [TARGET [CROSS]]: the static release binary, for another processor with the C compiler CROSSgcc;
# its path is left in $BINARY.
build_static() {
    local target=${1:-$(static_target)} cross=${2:-}
    need_target "$target"
    say "building the static release binary for $target"
    env "CC_${target//-/_}=${cross}gcc" "AR_${target//-/_}=${cross}ar" RUSTFLAGS="$(static_flags)" \
        cargo build --release --target "$target" --bin stagepost
    BINARY=${CARGO_TARGET_DIR:-$TOP/target}/$target/release/stagepost
}
