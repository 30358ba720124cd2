# Runs a peer in a root of its own: an overlay of this machine's tree with the unpacked packages and all that
# the peer writes. `ip netns exec` has given us a mount namespace already, so every mount below is gone with
# the last process of the peer.
# Arguments: TREE (unpacked packages) WORK (an empty folder) START (the script to run inside) [its arguments]
set -e
tree=$1 work=$2 start=$3
shift 3
mkdir -p "$work/upper/lab" "$work/scratch" "$work/root"
cp -a "$tree/." "$work/upper"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
mount -t tmpfs dev "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount -t tmpfs run "$root/run"
mount -t tmpfs tmp "$root/tmp"
chmod 1777 "$root/tmp"
# BIND=FOLDER:PLACE shows one folder of this machine inside.
[ -z "${BIND:-}" ] || mount --bind "${BIND%%:*}" "$root${BIND#*:}"
exec chroot "$root" /bin/sh -e "/lab/$start" "$@"
