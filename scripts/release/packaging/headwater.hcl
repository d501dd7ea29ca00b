# Settings of Headwater: values of flags. Every flag of `headwater serve --help` can
# stand here, with _ for -. A flag on the command line goes before the environment
# (/etc/headwater/headwater.env), and that before this file. A name that is misspelt is
# refused, and the server does not start.
#
# What stands at the top is for every command, what stands in a block for the command of
# that name. No setting holds a secret: those are in files of their own.

#:data = "/var/lib/headwater"

serve {
  #:listen     = "127.0.0.1:8080"
  #:public_url = "https://git.example.com"

  # Reverse proxies whose X-Forwarded-For is believed.
  #:trusted_proxy = ["127.0.0.1/32"]

  # A certificate of an authority, instead of a reverse proxy.
  #:acme_domain = ["git.example.com"]
  #:acme_email  = "operator@example.com"

  # Metrics and profiles; none switches them off.
  #:admin_listen = "127.0.0.1:8081"

  #:log_level = "info"
  #:log_json  = true
  #:drain     = "30s"
}
