# Debian's Exim as the host NAME: takes mail for its own name, keeps all of it in /var/mail/inbox, and relays
# for itself. With /lab/host.pem and /lab/host.key it offers STARTTLS with these. Log on stderr.
# Arguments: NAME [lines for its configuration, one an argument...]. The line `USERS = yes` makes it serve
# nobody but b1, whose password is `let me in`.
name=$1
shift
echo 'Debian-exim:x:7001:7001::/var/spool/exim4:/usr/sbin/nologin' >>/etc/passwd
echo 'Debian-exim:x:7001:' >>/etc/group
mkdir -p /var/mail /var/spool/exim4 /var/log/exim4
chmod 1777 /var/mail
chown 7001:7001 /var/spool/exim4 /var/log/exim4
mkdir -p /etc/exim4
tls="tls_advertise_hosts ="
if [ -e /lab/host.pem ]; then
    tls='tls_advertise_hosts = *
tls_certificate = /lab/host.pem
tls_privatekey = /lab/host.key'
    chmod 644 /lab/host.key
fi
case "$*" in *tls_*) tls= ;; esac
for line; do echo "$line"; done >/etc/exim4/exim4.conf
cat >>/etc/exim4/exim4.conf <<CF
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
dsn_advertise_hosts = *
$tls
begin acl
check_rcpt:
.ifdef USERS
  deny !authenticated = *
.endif
  accept hosts = 127.0.0.1
  accept domains = +local_domains
  deny message = relay not permitted
begin routers
away:
  driver = dnslookup
  domains = ! +local_domains
  transport = away
  no_more
inbox:
  driver = accept
  transport = inbox
begin transports
away:
  driver = smtp
inbox:
  driver = appendfile
  file = /var/mail/inbox
  user = 7001
  group = 7001
  mode = 0644
  delivery_date_add
  envelope_to_add
  return_path_add
begin authenticators
.ifdef USERS
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_advertise_condition = \${if eq{\$received_port}{465}}
  server_condition = \${if and{{eq{\$auth2}{b1}}{eq{\$auth3}{let me in}}}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_advertise_condition = \${if and{{eq{\$received_port}{25}}{def:tls_in_cipher}}}
  server_condition = \${if and{{eq{\$auth1}{b1}}{eq{\$auth2}{let me in}}}}
.endif
begin retry
* * F,1h,1s
CF
: >/lab/log-mainlog
chown 7001:7001 /lab /lab/log-mainlog
exec /usr/sbin/exim4 -bdf -q1m
