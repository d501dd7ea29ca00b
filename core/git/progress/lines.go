package progress

import (
	"bytes"
	"io"
)

// maxLine bounds a line of git's stderr; what is beyond is dropped.
const maxLine = 8 << 10

// lineWriter cuts what is written to it into lines.
type lineWriter struct {
	f        func(line []byte, transient bool)
	line     []byte
	carriage bool // the last byte was \r, and line was given out as transient
}

// NewLineWriter returns a writer that calls f for every line, without its end.
// A line that ends in a carriage return is transient: the next one is to be
// shown over it, as git does with progress. Where "\r\n" ends a line, f gets the
// line twice, first as transient, because the newline may be long in coming.
// Empty lines are left out and lines are cut at 8 KiB. Close gives out a last
// line without an end. The slice is valid during the call only. f runs in the
// goroutine that writes.
func NewLineWriter(f func(line []byte, transient bool)) io.WriteCloser { return &lineWriter{f: f} }

// Write cuts p into lines. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i != 0 && w.carriage {
			w.line, w.carriage = w.line[:0], false
		}
		if i < 0 {
			w.add(p)
			break
		}
		w.add(p[:i])
		w.end(p[i] == '\r')
		p = p[i+1:]
	}
	return written, nil
}

func (w *lineWriter) add(p []byte) {
	w.line = append(w.line, p[:min(len(p), maxLine-len(w.line))]...)
}

func (w *lineWriter) end(transient bool) {
	if transient {
		if !w.carriage && len(w.line) > 0 {
			w.f(w.line, true)
		}
		w.carriage = true
		return
	}
	if len(w.line) > 0 {
		w.f(w.line, false)
	}
	w.line, w.carriage = w.line[:0], false
}

// Close gives out what is left.
func (w *lineWriter) Close() error {
	if !w.carriage && len(w.line) > 0 {
		w.f(w.line, false)
	}
	w.line, w.carriage = nil, false
	return nil
}
