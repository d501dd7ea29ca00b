package pktline

import "io"

// NewServiceWriter returns a writer for what git prints of a service's refs, which puts
// the packets in front that begin the body of info/refs (gitprotocol-http(5)). They are
// written with the first byte: as long as git says nothing, an answer can still be a
// failure.
func NewServiceWriter(w io.Writer, service string) io.Writer {
	return &serviceWriter{w: w, head: append(Appendf(nil, "# service=%s\n", service), FlushPacket...)}
}

type serviceWriter struct {
	w    io.Writer
	head []byte
}

// Write writes p, the first time after the head.
func (s *serviceWriter) Write(p []byte) (int, error) {
	if s.head != nil {
		if _, err := s.w.Write(s.head); err != nil {
			return 0, err
		}
		s.head = nil
	}
	return s.w.Write(p)
}
