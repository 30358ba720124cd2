# Debian's Postfix as the host NAME: takes mail for its own name, keeps all of it in /var/mail/inbox, offers
# what its sendmail(1) is given to the MX of its destination. Log in /lab/maillog.
# Arguments: NAME [main.cf lines, one an argument; `user NAME PASSWORD` is one of Cyrus SASL...]
name=$1
shift
echo 'postfix:x:7001:7001::/var/spool/postfix:/usr/sbin/nologin' >>/etc/passwd
printf 'postfix:x:7001:\npostdrop:x:7002:\n' >>/etc/group
mkdir -p /var/mail /var/lib/postfix /var/spool/postfix
chmod 1777 /var/mail
chown 7001 /var/lib/postfix
cp /usr/share/postfix/dynamicmaps.cf /etc/postfix/
cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
cat >/etc/postfix/main.cf <<CF
compatibility_level = 3.6
myhostname = $name
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = all
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = $name
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = static:inbox
virtual_uid_maps = static:7001
virtual_gid_maps = static:7001
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = static:all
in_flow_delay = 0s
biff = no
maillog_file = /lab/maillog
maillog_file_prefixes = /lab
CF
for line; do
    case $line in
        user\ *)
            mkdir -p /etc/postfix/sasl
            printf '%s\n' 'pwcheck_method: auxprop' 'auxprop_plugin: sasldb' 'mech_list: SCRAM-SHA-256 PLAIN' \
                >/etc/postfix/sasl/smtpd.conf
            user=${line#user }
            printf %s "${user#* }" | saslpasswd2 -p -c -u "$name" "${user%% *}"
            chmod 644 /etc/sasldb2
            ;;
        *) echo "$line" >>/etc/postfix/main.cf ;;
    esac
done
postconf -F '*/*/chroot=n'
chown root /var/spool/postfix
chgrp 7002 /usr/sbin/postdrop /usr/sbin/postqueue
chmod 2555 /usr/sbin/postdrop /usr/sbin/postqueue
postfix check
exec /usr/lib/postfix/sbin/master -d
