# Debian's OpenSMTPD as the host NAME: takes mail for its own name, keeps all of it in /var/mail/inbox, and
# relays for itself. With /lab/host.pem and /lab/host.key it offers STARTTLS. Log on stderr.
# Arguments: NAME
name=$1
{
    echo 'opensmtpd:x:7001:7001::/var/lib/opensmtpd/empty:/usr/sbin/nologin'
    echo 'opensmtpq:x:7002:7002::/var/lib/opensmtpd/empty:/usr/sbin/nologin'
    echo 'inbox:x:7003:7003::/lab:/bin/sh'
} >>/etc/passwd
printf 'opensmtpd:x:7001:\nopensmtpq:x:7002:\ninbox:x:7003:\n' >>/etc/group
mkdir -p /var/mail /var/lib/opensmtpd/empty /var/spool/smtpd
chmod 1777 /var/mail
chmod 711 /var/spool/smtpd
chmod 700 /lab/host.key 2>/dev/null || true
cat >/lab/keep <<'SH'
{ echo "From inbox Thu Jan  1 00:00:00 1970"; cat; echo; } >>/var/mail/inbox
SH
listen="listen on 0.0.0.0"
if [ -e /lab/host.pem ]; then
    echo "pki $name cert \"/lab/host.pem\""
    echo "pki $name key \"/lab/host.key\""
    listen="$listen tls pki $name"
fi >/lab/smtpd.conf
cat >>/lab/smtpd.conf <<CF
table all { "@" = inbox }
$listen hostname $name
action keep mda "/bin/sh /lab/keep" virtual <all>
action out relay helo $name
match from any for domain $name action keep
match from local for any action out
CF
chmod 600 /lab/smtpd.conf
exec /usr/sbin/smtpd -d -f /lab/smtpd.conf
