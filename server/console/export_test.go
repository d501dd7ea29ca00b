package console

import (
	"maps"
	"slices"
)

// PageRoutes are the routes of those who are signed in, as method and path below Prefix.
func PageRoutes() []string { return slices.Sorted(maps.Keys((&Console{}).pages())) }
