# posttls-finger of Debian's Postfix, which wants a main.cf and its users. Arguments: its own.
mkdir -p /etc/postfix
echo 'postfix:x:7001:7001::/var/spool/postfix:/usr/sbin/nologin' >>/etc/passwd
printf 'postfix:x:7001:\npostdrop:x:7002:\n' >>/etc/group
printf '%s\n' 'compatibility_level = 3.6' 'myhostname = pc.example' >/etc/postfix/main.cf
exec posttls-finger "$@"
