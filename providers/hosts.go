package providers

import "strings"

// FindHost returns the policy for host: its own if hosts has one, else the
// default policy (https, public addresses only).
func FindHost(hosts []HostPolicy, host string) HostPolicy {
	host = strings.ToLower(host)
	for _, h := range hosts {
		if strings.ToLower(h.Host) == host {
			if h.Scheme == "" {
				h.Scheme = "https"
			}
			return h
		}
	}
	return HostPolicy{Host: host, Scheme: "https"}
}
