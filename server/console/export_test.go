package console

import (
	"html/template"
	"maps"
	"slices"
)

// PageRoutes are the routes of those who are signed in, as method and path below Prefix.
func PageRoutes() []string { return slices.Sorted(maps.Keys((&Console{}).pages())) }

// Owners reports whether a route is for the owner alone, and Needs which operations it needs.
func Owners(route string) bool { return (&Console{}).pages()[route].owner }

// Needs are the operations of the API that a route needs.
func Needs(route string) []string { return (&Console{}).pages()[route].needs }

// DrawLags draws lags in seconds, DrawCounts numbers as bars.
func DrawLags(values ...float64) template.HTML { return draw("line", "s", values) }

func DrawCounts(values ...float64) template.HTML { return draw("bars", "n", values) }

func draw(kind, unit string, values []float64) template.HTML {
	p := plot{Kind: kind, Unit: unit, To: int64(len(values)), Series: []series{{Name: "values"}}}
	for i, v := range values {
		p.Times = append(p.Times, int64(i))
		p.Series[0].Values = append(p.Series[0].Values, &v)
	}
	return p.SVG()
}
