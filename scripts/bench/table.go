package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one comparison with its budget.
type row struct {
	group, what    string
	ours, baseline string
	ratio, budget  string
	grade          string
}

// table collects the rows of a run.
type table struct{ rows []row }

// add appends a row and shows it at once.
func (t *table) add(r row) {
	t.rows = append(t.rows, r)
	fmt.Printf("  %-34s %10s  %10s  %7s  %-26s %s\n", r.what, r.ours, r.baseline, r.ratio, r.budget, r.grade)
}

// print writes the whole table.
func (t *table) print(w io.Writer) {
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "group\twhat\tours\tbaseline\tratio\tbudget\tgrade")
	missed := 0
	for _, r := range t.rows {
		fmt.Fprintln(tw, strings.Join([]string{r.group, r.what, r.ours, r.baseline, r.ratio, r.budget, r.grade}, "\t"))
		if r.grade == "MISS" {
			missed++
		}
	}
	_ = tw.Flush()
	fmt.Fprintf(w, "\n%d rows, %d budgets missed\n", len(t.rows), missed)
}

// grade is PASS or MISS.
func grade(ok bool) string {
	if ok {
		return "PASS"
	}
	return "MISS"
}

// compare adds a row of two durations. The budget is a factor of the baseline
// plus a constant.
func (t *table) compare(group, what string, ours, baseline time.Duration, factor float64, plus time.Duration) {
	limit := time.Duration(float64(baseline)*factor) + plus
	budget := fmt.Sprintf("<= %.3gx", factor)
	if plus > 0 {
		budget += " + " + plus.String()
	}
	t.add(row{group: group, what: what, ours: show(ours), baseline: show(baseline), ratio: ratio(ours, baseline), budget: budget, grade: grade(ours <= limit)})
}

// limit adds a row of one duration against a fixed limit.
func (t *table) limit(group, what string, ours, most time.Duration) {
	t.add(row{group: group, what: what, ours: show(ours), baseline: "-", ratio: "-", budget: "<= " + most.String(), grade: grade(ours <= most)})
}

// memory adds a row of bytes against a fixed limit.
func (t *table) memory(group, what string, ours, most int64) {
	t.add(row{group: group, what: what, ours: mib(ours), baseline: "-", ratio: "-", budget: "< " + mib(most), grade: grade(ours < most)})
}

// beside adds a row of two durations that has no budget.
func (t *table) beside(group, what string, ours, baseline time.Duration) {
	t.add(row{group: group, what: what, ours: show(ours), baseline: show(baseline), ratio: ratio(ours, baseline), budget: "-", grade: "-"})
}

// rate adds a row of two rates, more being better. The budget is a factor of
// the baseline.
func (t *table) rate(group, what string, ours, baseline, least float64) {
	t.add(row{
		group: group, what: what, ours: fmt.Sprintf("%.1f/s", ours), baseline: fmt.Sprintf("%.1f/s", baseline),
		ratio: fmt.Sprintf("%.2fx", ours/baseline), budget: fmt.Sprintf(">= %.2gx", least), grade: grade(ours >= least*baseline),
	})
}

// besideRate adds a row of two rates that has no budget.
func (t *table) besideRate(group, what string, ours, baseline float64) {
	t.add(row{
		group: group, what: what, ours: fmt.Sprintf("%.0f/s", ours), baseline: fmt.Sprintf("%.0f/s", baseline),
		ratio: fmt.Sprintf("%.2fx", ours/baseline), budget: "-", grade: "-",
	})
}

// most adds a row of a count against a fixed limit.
func (t *table) most(group, what string, ours, most float64) {
	t.add(row{group: group, what: what, ours: fmt.Sprintf("%.3g", ours), baseline: "-", ratio: "-", budget: fmt.Sprintf("<= %.3g", most), grade: grade(ours <= most)})
}

// note adds a row of one value that has no budget.
func (t *table) note(group, what, value string) {
	t.add(row{group: group, what: what, ours: value, baseline: "-", ratio: "-", budget: "-", grade: "-"})
}

func ratio(a, b time.Duration) string {
	if b <= 0 {
		return "-"
	}
	r := float64(a) / float64(b)
	if r < 0.01 {
		return fmt.Sprintf("%.4fx", r)
	}
	return fmt.Sprintf("%.2fx", r)
}

// show rounds a duration to what means something.
func show(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
