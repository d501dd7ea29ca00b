package git

// Memory is how much memory one git may allocate, with each of its children, by
// what it does, in bytes. 0 is the default, a negative value no ceiling. Only
// Linux has ceilings.
type Memory struct {
	Read     int64 // one answer of the API: diff, blame, search, archive, history
	Serve    int64 // a fetch from this server: upload-pack and pack-objects
	Receive  int64 // a push to this server, and what writes of the API store
	Remote   int64 // a fetch from, or push to, an upstream
	Maintain int64 // repacks and the like
}

// WithDefaults fills in what is zero: a part of the machine's memory, or of that
// of the control group. Below the lower ends ordinary repositories fail; more
// than the upper ones no git needs that works for one of many callers.
func (m Memory) WithDefaults() Memory { return m.defaultsFor(MachineMemory()) }

func (m Memory) defaultsFor(all int64) Memory {
	part := func(value *int64, share, least, most int64) {
		switch {
		case *value == 0 && all > 0:
			*value = min(max(all/share, least), most)
		case *value == 0:
			*value = -1
		}
	}
	part(&m.Read, 4, 256<<20, 1<<30)
	part(&m.Serve, 2, 512<<20, 4<<30)
	part(&m.Receive, 2, 512<<20, 4<<30)
	part(&m.Remote, 2, 512<<20, 4<<30)
	part(&m.Maintain, 2, 512<<20, 4<<30)
	return m
}

// ceiling returns the ceiling of a command, and the flag of the server that
// raises it.
func (m Memory) ceiling(c Command) (bytes int64, flag string) {
	switch {
	case c.Remote != nil, c.Name == "send-pack":
		return m.Remote, "--git-memory-remote"
	case c.Name == "upload-pack", c.Name == "pack-objects":
		return m.Serve, "--git-memory-serve"
	case c.Name == "receive-pack", c.Name == "index-pack", c.Name == "unpack-objects":
		return m.Receive, "--git-memory-receive"
	case c.Name == "repack", c.Name == "commit-graph", c.Name == "pack-refs":
		return m.Maintain, "--git-memory-maintain"
	}
	return m.Read, "--git-memory-read"
}
