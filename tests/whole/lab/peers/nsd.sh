# Debian's NSD with the zones that lie in /lab/zones, one file a zone, named by the zone. A zone whose file
# is missing but which is listed in /lab/broken answers SERVFAIL.
# Arguments: ADDRESS...
mkdir -p /run/nsd /var/lib/nsd /etc/nsd
{
    echo 'server:'
    for address; do echo "  ip-address: $address"; done
    echo '  username: ""'
    echo '  chroot: ""'
    echo '  server-count: 1'
    echo '  database: ""'
    echo '  zonelistfile: "/var/lib/nsd/zone.list"'
    echo '  xfrdfile: "/var/lib/nsd/xfrd.state"'
    echo '  pidfile: "/run/nsd/nsd.pid"'
    echo '  rrl-ratelimit: 0'
    echo 'remote-control:'
    echo '  control-enable: no'
    for zone in $(cat /lab/broken) $(ls /lab/zones); do
        echo 'zone:'
        echo "  name: \"$zone\""
        echo "  zonefile: \"/lab/zones/$zone\""
    done
} >/etc/nsd/nsd.conf
exec /usr/sbin/nsd -d -c /etc/nsd/nsd.conf
