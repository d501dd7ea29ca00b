package console

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// A plot is a picture of numbers over time: as SVG for every reader, and as JSON for
// those whose browser draws it live.
type plot struct {
	Label   string   `json:"label"`
	Kind    string   `json:"kind"` // "line" or "bars"
	Unit    string   `json:"unit"` // "s" for seconds, on a logarithmic scale; "n" for a number
	From    int64    `json:"from"` // Unix seconds
	To      int64    `json:"to"`
	Times   []int64  `json:"times"`
	Series  []series `json:"series"`
	URL     string   `json:"-"` // of the same as JSON
	Per     string   `json:"-"` // what a point or bar stands for
	ordinal bool     // Times are places in a row, not times
}

// series is one line, or one part of every bar. The class names its colour.
type series struct {
	Name   string     `json:"name"`
	Class  string     `json:"class"`
	Values []*float64 `json:"values"` // null is a gap
}

// key is a series with what it is now, or all of its bars together.
type key struct{ Name, Class, Value string }

// Keys explain the colours.
func (p plot) Keys() []key {
	var keys []key
	for _, s := range p.Series {
		k, sum, last := key{Name: s.Name, Class: s.Class, Value: "–"}, 0.0, (*float64)(nil)
		for _, v := range s.Values {
			if v != nil {
				sum, last = sum+*v, v
			}
		}
		switch {
		case p.ordinal: // how long all runs took together says nothing
			k.Value = ""
		case p.Kind == "bars":
			k.Value = p.unit(sum)
		case last != nil:
			k.Value = p.unit(*last)
		}
		keys = append(keys, k)
	}
	return keys
}

// size of the picture, in its own units.
const (
	plotWidth  = 640.0
	plotHeight = 150.0
	plotLeft   = 44.0
	plotRight  = 6.0
	plotTop    = 8.0
	plotBottom = 18.0
)

// Empty reports whether there is nothing to show.
func (p plot) Empty() bool {
	for _, s := range p.Series {
		for _, v := range s.Values {
			if v != nil {
				return false
			}
		}
	}
	return true
}

// scale is where values stand, from 0 at the bottom to 1.
type scale struct {
	low, high float64
	log       bool
	ticks     []float64
}

// durationTicks are the lines of a logarithmic scale of seconds.
var durationTicks = []float64{0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400}

func (p plot) scale() scale {
	top, bottom := 0.0, math.Inf(1)
	if p.Kind == "bars" {
		for i := range p.Times {
			sum := 0.0
			for _, s := range p.Series {
				if s.Values[i] != nil {
					sum += *s.Values[i]
				}
			}
			top = max(top, sum)
		}
	} else {
		for _, s := range p.Series {
			for _, v := range s.Values {
				if v != nil {
					top, bottom = max(top, *v), min(bottom, *v)
				}
			}
		}
	}
	if p.Unit == "s" && p.Kind == "line" {
		s := scale{log: true, low: 1, high: 60}
		if longest := durationTicks[len(durationTicks)-1]; top > longest {
			s.high = top
		}
		for _, t := range durationTicks {
			if t <= bottom {
				s.low = t
			}
		}
		s.low = min(s.low, 60)
		for _, t := range durationTicks {
			if t >= top {
				s.high = max(t, s.low*10)
				break
			}
		}
		for _, t := range durationTicks {
			if t >= s.low && t <= s.high {
				s.ticks = append(s.ticks, t)
			}
		}
		return s
	}
	step := 1.0
	for top/step > 4 {
		switch {
		case top/(step*2) <= 4:
			step *= 2
		case top/(step*5) <= 4:
			step *= 5
		default:
			step *= 10
		}
	}
	s := scale{high: max(step*math.Ceil(top/step), step)}
	for t := 0.0; t <= s.high; t += step {
		s.ticks = append(s.ticks, t)
	}
	return s
}

func (s scale) at(v float64) float64 {
	if s.log {
		return (math.Log(max(v, s.low)) - math.Log(s.low)) / (math.Log(s.high) - math.Log(s.low))
	}
	return v / s.high
}

// unit writes a value for a label.
func (p plot) unit(v float64) string {
	if p.Unit != "s" {
		return strconv.FormatFloat(v, 'f', -1, 64) // millions of syncs a day, too
	}
	switch {
	case v < 1:
		return fmt.Sprintf("%g s", v)
	case v < 60:
		return fmt.Sprintf("%.0f s", v)
	case v < 3600:
		return fmt.Sprintf("%.0f min", v/60)
	case v < 86400:
		return fmt.Sprintf("%.0f h", v/3600)
	}
	return fmt.Sprintf("%.0f d", v/86400)
}

func (p plot) x(t int64) float64 {
	return plotLeft + (plotWidth-plotLeft-plotRight)*float64(t-p.From)/float64(max(p.To-p.From, 1))
}

// SVG draws it. Every text of it is escaped.
func (p plot) SVG() template.HTML {
	var b strings.Builder
	s := p.scale()
	y := func(v float64) float64 { return plotHeight - plotBottom - (plotHeight-plotTop-plotBottom)*s.at(v) }
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(p.Label+". "+p.words()))
	for _, t := range s.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, plotWidth-plotRight, y(t), y(t), plotLeft-5, y(t)+3.5, p.unit(t))
	}
	p.drawTimes(&b)
	if p.Kind == "bars" {
		p.drawBars(&b, s)
	} else {
		for _, line := range p.Series {
			var d strings.Builder
			drawn := false
			for i, v := range line.Values {
				if v == nil {
					drawn = false
					continue
				}
				move := "L"
				if !drawn {
					move = "M"
				}
				fmt.Fprintf(&d, "%s%.1f %.1f", move, p.x(p.Times[i]), y(*v))
				if !drawn && (i+1 == len(line.Values) || line.Values[i+1] == nil) {
					d.WriteString("h1") // one value alone is a dot
				}
				drawn = true
			}
			fmt.Fprintf(&b, `<path class="line plot-%s" d="%s"><title>%s</title></path>`, line.Class, d.String(), html.EscapeString(line.Name))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, constants and escaped text
}

func (p plot) drawTimes(b *strings.Builder) {
	if p.ordinal {
		return
	}
	step, format := int64(4*3600), "15:04"
	if p.To-p.From > 2*86400 {
		step, format = 86400, "Mon 2"
	}
	for t := (p.From/step + 1) * step; t < p.To; t += step {
		fmt.Fprintf(b, `<line class="grid faint" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="tick" x="%.1f" y="%g" text-anchor="middle">%s</text>`,
			p.x(t), p.x(t), plotTop, plotHeight-plotBottom, p.x(t), plotHeight-4, time.Unix(t, 0).UTC().Format(format))
	}
}

func (p plot) drawBars(b *strings.Builder, s scale) {
	width := (plotWidth - plotLeft - plotRight) / max(float64(len(p.Times)), 1)
	full := plotHeight - plotTop - plotBottom
	for i, t := range p.Times {
		foot := plotHeight - plotBottom
		for _, part := range p.Series {
			if part.Values[i] == nil || *part.Values[i] == 0 {
				continue
			}
			h := full * s.at(*part.Values[i])
			foot -= h
			when := time.Unix(t, 0).UTC().Format("15:04") + ", "
			if p.ordinal {
				when = ""
			}
			fmt.Fprintf(b, `<rect class="bar plot-%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s%s: %s</title></rect>`,
				part.Class, p.x(t)+0.5, foot, max(width-1, 1), h, when, html.EscapeString(part.Name), p.unit(*part.Values[i]))
		}
	}
}

// words says what the picture shows, for those who do not see it.
func (p plot) words() string {
	var parts []string
	for _, s := range p.Series {
		sum, most, last, any := 0.0, 0.0, 0.0, false
		for _, v := range s.Values {
			if v != nil {
				sum, most, last, any = sum+*v, max(most, *v), *v, true
			}
		}
		switch {
		case !any:
			parts = append(parts, s.Name+": nothing yet")
		case p.Kind == "bars":
			parts = append(parts, fmt.Sprintf("%s: %s in all", s.Name, p.unit(sum)))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s now, %s at most", s.Name, p.unit(last), p.unit(most)))
		}
	}
	return strings.Join(parts, "; ")
}

// buckets sorts values into equal parts of the time from p.From to p.To: the largest of
// each part, or with sum their sum.
func (p *plot) buckets(n int) {
	p.Times = make([]int64, n)
	for i := range n {
		p.Times[i] = p.From + (p.To-p.From)*int64(i)/int64(n)
	}
	for i := range p.Series {
		p.Series[i].Values = make([]*float64, n)
	}
}

func (p *plot) bucket(at time.Time) int {
	i := int((at.Unix() - p.From) * int64(len(p.Times)) / max(p.To-p.From, 1))
	if i < 0 || i >= len(p.Times) {
		return -1
	}
	return i
}

func (p *plot) most(s int, at time.Time, v float64) {
	if i := p.bucket(at); i >= 0 && (p.Series[s].Values[i] == nil || *p.Series[s].Values[i] < v) {
		p.Series[s].Values[i] = &v
	}
}

func (p *plot) sum(s int, at time.Time, v float64) {
	if i := p.bucket(at); i >= 0 {
		if p.Series[s].Values[i] != nil {
			v += *p.Series[s].Values[i]
		}
		p.Series[s].Values[i] = &v
	}
}
