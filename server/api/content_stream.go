package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// streamBuffer is up to which size an answer is held back: until then an error
// can still become a proper one, and a small answer gets its length.
const streamBuffer = 64 << 10

// jsonStream writes one JSON object piece by piece, so that an answer need not
// be in memory as a whole.
type jsonStream struct {
	c       *call
	text    bytes.Buffer
	started bool // the header is out
	comma   bool
}

// streamed answers with the object that write makes. An error after the answer
// has begun cuts the connection off, which clients notice; a complete answer
// that is wrong they would not.
func (s *server) streamed(c *call, write func(j *jsonStream) error) error {
	j := &jsonStream{c: c}
	j.text.WriteByte('{')
	err := write(j)
	if err == nil {
		err = j.end()
	}
	if err == nil || !j.started {
		return err
	}
	s.cutOff(c, err)
	return nil
}

// cutOff ends a request whose answer has begun and cannot be finished.
func (s *server) cutOff(c *call, err error) {
	if c.ctx().Err() == nil {
		s.Logger.Warn("an answer was cut off", "repo_id", c.repo.ID, "error", err)
	}
	panic(http.ErrAbortHandler)
}

// field writes one field.
func (j *jsonStream) field(name string, value any) error {
	if err := j.key(name); err != nil {
		return err
	}
	return j.value(value)
}

// array writes a field whose items come from a function.
func (j *jsonStream) array(name string, items func(item func(any) error) error) error {
	if err := j.key(name); err != nil {
		return err
	}
	j.text.WriteByte('[')
	first := true
	err := items(func(value any) error {
		if !first {
			j.text.WriteByte(',')
		}
		first = false
		return j.value(value)
	})
	j.text.WriteByte(']')
	return err
}

func (j *jsonStream) key(name string) error {
	if j.comma {
		j.text.WriteByte(',')
	}
	j.comma = true
	if err := j.value(name); err != nil {
		return err
	}
	j.text.WriteByte(':')
	return nil
}

func (j *jsonStream) value(value any) error {
	encoder := json.NewEncoder(&j.text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	j.text.Truncate(j.text.Len() - 1) // the encoder's line feed
	if j.text.Len() < streamBuffer {
		return nil
	}
	return j.flush()
}

func (j *jsonStream) flush() error {
	if !j.started {
		j.started = true
		jsonHeader(j.c.w.Header())
		if j.c.etag != "" {
			cacheable(j.c.w.Header(), j.c.etag)
		}
		j.c.w.WriteHeader(http.StatusOK)
	}
	_, err := j.c.w.Write(j.text.Bytes())
	j.text.Reset()
	return err
}

func (j *jsonStream) end() error {
	j.text.WriteString("}\n")
	if j.started {
		return j.flush()
	}
	j.started = true
	if isRead(j.c.r.Method) {
		j.c.conditionally(j.text.Bytes())
		return nil
	}
	jsonHeader(j.c.w.Header())
	j.c.w.Header().Set("Content-Length", strconv.Itoa(j.text.Len()))
	_, err := j.c.w.Write(j.text.Bytes())
	return err
}

func jsonHeader(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
}
