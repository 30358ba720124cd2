# Debian's Sendmail as the host NAME: takes mail for its own name, keeps all of it in /var/mail/inbox.
# Arguments: NAME
name=$1
grep -q '^smmta:' /etc/passwd || {
    echo 'smmta:x:7001:7001::/var/lib/sendmail:/usr/sbin/nologin' >>/etc/passwd
    echo 'smmsp:x:7002:7002::/var/lib/sendmail:/usr/sbin/nologin' >>/etc/passwd
    printf 'smmta:x:7001:\nsmmsp:x:7002:\n' >>/etc/group
}
grep -q '^inbox:' /etc/passwd || echo 'inbox:x:7003:8::/tmp:/bin/sh' >>/etc/passwd
mkdir -p /var/spool/mqueue /var/mail /var/run/sendmail/mta /run/sendmail/mta
chmod 700 /var/spool/mqueue
chmod 1777 /var/mail
cat >/etc/mail/lab.mc <<MC
divert(0)dnl
VERSIONID(\`lab')
OSTYPE(\`debian')
DOMAIN(\`debian-mta')
undefine(\`confHOST_STATUS_DIRECTORY')dnl
define(\`confDOMAIN_NAME', \`$name')dnl
define(\`confTO_IDENT', \`0s')dnl
define(\`confPRIVACY_FLAGS', \`authwarnings')dnl
define(\`LOCAL_MAILER_PATH', \`/usr/libexec/sendmail/mail.local')dnl
define(\`LUSER_RELAY', \`local:inbox')dnl
define(\`confCONNECTION_RATE_THROTTLE', \`0')dnl
define(\`confMAX_DAEMON_CHILDREN', \`0')dnl
define(\`confREFUSE_LA', \`999')dnl
define(\`confQUEUE_LA', \`999')dnl
define(\`confDELAY_LA', \`999')dnl
FEATURE(\`no_default_msa')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`local_lmtp', \`/usr/libexec/sendmail/mail.local')dnl
DAEMON_OPTIONS(\`Name=MTA-v4, Family=inet, Port=25')dnl
DAEMON_OPTIONS(\`Name=MTA-v6, Family=inet6, Port=25, M=O')dnl
LOCAL_DOMAIN(\`$name')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
MC
# Else the IPv6 listener takes the IPv4 port as well.
echo 1 >/proc/sys/net/ipv6/bindv6only
m4 -D_CF_DIR_=/usr/share/sendmail/cf/ /usr/share/sendmail/cf/m4/cf.m4 /etc/mail/lab.mc >/etc/mail/sendmail.cf
: >/etc/mail/aliases
echo "$name" >/etc/mail/local-host-names
exec /usr/libexec/sendmail/sendmail -bD -q1s -X /lab/traffic
