# Debian's Exim as the host NAME: takes mail for its own name, keeps all of it in /var/mail/inbox. Log on
# stderr.
# Arguments: NAME
name=$1
echo 'Debian-exim:x:7001:7001::/var/spool/exim4:/usr/sbin/nologin' >>/etc/passwd
echo 'Debian-exim:x:7001:' >>/etc/group
mkdir -p /var/mail /var/spool/exim4 /var/log/exim4
chmod 1777 /var/mail
chown 7001:7001 /var/spool/exim4 /var/log/exim4
mkdir -p /etc/exim4
cat >/etc/exim4/exim4.conf <<CF
primary_hostname = $name
domainlist local_domains = $name
acl_smtp_rcpt = check_rcpt
host_lookup = *
rfc1413_query_timeout = 0s
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
queue_only_load = 999
keep_environment =
log_file_path = /lab/log-%slog
dns_ipv4_lookup =
disable_ipv6 = false
begin acl
check_rcpt:
  accept domains = +local_domains
  deny message = relay not permitted
begin routers
inbox:
  driver = accept
  transport = inbox
begin transports
inbox:
  driver = appendfile
  file = /var/mail/inbox
  user = 7001
  group = 7001
  mode = 0644
  delivery_date_add
  envelope_to_add
  return_path_add
begin retry
* * F,1h,1s
CF
: >/lab/log-mainlog
chown 7001:7001 /lab /lab/log-mainlog
exec /usr/sbin/exim4 -bdf -q1m
