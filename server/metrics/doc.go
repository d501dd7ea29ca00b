// Package metrics counts what the server does, for Prometheus.
//
// What happens is counted when it happens: [Metrics] is the observer of the core and
// the measure of the HTTP surfaces. What is, is read when it is asked for: repositories
// by state, how old the copies are, what waits. Every label has few values: routes are
// templates, hosts are the busiest fifty, and no name of a tenant is a label unless the
// operator wants the worst ones by name ([Options.Worst]).
//
// Names end in their unit, which is a base unit (seconds, bytes), and in _total if they
// only grow: https://prometheus.io/docs/practices/naming/. The list of all names is
// testdata/names.txt; docs/metrics.md says what they mean.
package metrics
