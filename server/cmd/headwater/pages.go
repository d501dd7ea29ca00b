package main

import "math"

const (
	// pageSize is how many items of a listing are asked for at once.
	pageSize = 100
	// noLimit asks for all items of a listing.
	noLimit = math.MaxInt
)

// page is one page of a listing.
type page[T any] struct {
	items []T
	more  bool
	next  string // the cursor, if there are more
}

// pages hands out the items of a listing in the order of the server, at most
// limit of them. Read asks for the page after a cursor, nil for the first.
func pages[T any](limit int, read func(limit int, cursor *string) (page[T], error), each func(T) error) error {
	var cursor *string
	for left := limit; left > 0; {
		p, err := read(min(left, pageSize), cursor)
		if err != nil {
			return err
		}
		for _, item := range p.items {
			if err := each(item); err != nil {
				return err
			}
		}
		left -= len(p.items)
		if !p.more || len(p.items) == 0 {
			return nil
		}
		cursor = &p.next
	}
	return nil
}
