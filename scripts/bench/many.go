package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// manyRefs is how many branches a push of many has.
const manyRefs = 3000

// manySide is one way that many refs go, and back.
type manySide struct {
	side
	pushed, deleted sample        // the CPU time is that of the servers
	pushing         time.Duration // CPU time of the clients' git, all rounds together
	deleting        time.Duration
}

// all returns the CPU time of a push and of a deletion, of client and servers.
func (s *manySide) all() (pushed, deleted time.Duration) {
	rounds := time.Duration(max(1, len(s.pushed.wall)))
	return (s.pushed.cpu + s.pushing) / rounds, (s.deleted.cpu + s.deleting) / rounds
}

// benchMany pushes thousands of branches at once, and deletes them: to a repository
// without upstream, and through one with.
func benchMany(ctx context.Context, b *bench) error {
	src, err := b.withRefs(ctx, manyRefs)
	if err != nil {
		return err
	}
	st, err := b.start(ctx, "many")
	if err != nil {
		return err
	}
	defer st.stop()
	for _, name := range []string{"plain", "counted", "upstream", "direct"} {
		if err := b.publish(ctx, st.nginx, "", name); err != nil {
			return err
		}
		// Not the first branch, which would be the default one, that is not deleted.
		if _, err := b.git.run(ctx, src, "push", "-q", st.nginx.url(name), "refs/heads/main"); err != nil {
			return err
		}
	}
	local, err := st.create(ctx, "many-local", "", "")
	if err != nil {
		return err
	}
	if _, err := local.git().run(ctx, src, "push", "-q", local.url, "refs/heads/main"); err != nil {
		return err
	}
	front, err := startFront(st.counted.host)
	if err != nil {
		return err
	}
	defer front.Close()
	h, err := b.startHeadwater(ctx, "many-through", front.host)
	if err != nil {
		return err
	}
	defer h.stop()
	through, err := h.create(ctx, "many-through", front.host, "open/upstream")
	if err != nil {
		return err
	}
	if err := through.credential(ctx, "admin1", "unused"); err != nil {
		return err
	}
	if _, err := through.sync(ctx); err != nil {
		return err
	}
	sides := []*manySide{
		{side: side{local.git(), local.url, st.cpu}},
		{side: side{b.git, st.nginx.url("plain"), nil}},
		{side: side{b.git, st.counted.url("counted"), st.counted.cpu}},
		{side: side{through.git(), through.url, func() time.Duration { return h.cpu() + st.counted.cpu() }}},
		{side: side{b.git, front.url("direct"), st.counted.cpu}},
	}
	for round := range b.rounds(9) + 1 {
		for n := range sides {
			if round%2 == 1 {
				n = len(sides) - 1 - n
			}
			if err := sides[n].thereAndBack(ctx, src, round > 0); err != nil {
				return err
			}
		}
	}
	ours, plain, counted, synced, direct := sides[0], sides[1], sides[2], sides[3], sides[4]
	what := fmt.Sprintf("%d branches", manyRefs)
	b.table.compare("many", what+", local, wall p50", ours.pushed.p50(), plain.pushed.p50(), 0.6, 0)
	b.table.compare("many", what+", local, server CPU", ours.pushed.cpuPer(), counted.pushed.cpuPer(), 0.6, 0)
	b.table.compare("many", what+" deleted, local, wall p50", ours.deleted.p50(), plain.deleted.p50(), 1, 0)
	b.table.compare("many", what+", written through, wall p50", synced.pushed.p50(), direct.pushed.p50(), 1.5, 0)
	b.table.compare("many", what+" deleted through, wall p50", synced.deleted.p50(), direct.deleted.p50(), 1.3, 0)
	mine, theirs, err := b.manyAlone(ctx, src, local.url, local.token, st.nginx.url("plain"))
	if err != nil {
		return err
	}
	b.table.compare("many", what+", local, the server's answer alone, wall p50", mine.p50(), theirs.p50(), 0.6, 0)
	// Without what else the machine does.
	through1, through2 := synced.all()
	direct1, direct2 := direct.all()
	b.table.compare("many", what+", written through, CPU of client and servers", through1, direct1, 1.5, 0)
	b.table.compare("many", what+" deleted through, CPU of client and servers", through2, direct2, 1.3, 0)
	return nil
}

// front is a Gitea in front of nginx: it answers the one question that a write asks
// before it goes upstream, and passes git on. Without it a push that takes longer
// than a minute would find that its upstream has gone.
type front struct {
	*http.Server
	host string
}

func startFront(nginx string) (*front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/repos/open/upstream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":1,"full_name":"open/upstream","default_branch":"main","permissions":{"push":true}}`)
	})
	mux.Handle("/open/", &httputil.ReverseProxy{
		FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: nginx}) },
	})
	f := &front{&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, l.Addr().String()}
	go func() { _ = f.Serve(l) }() // ends by Close
	return f, nil
}

func (f *front) url(name string) string { return "http://" + f.host + "/open/" + name + ".git" }

// thereAndBack pushes all branches of src, and deletes them again.
func (s *manySide) thereAndBack(ctx context.Context, src string, counts bool) error {
	deletions := []string{"push", "-q", s.url}
	for i := range manyRefs - 1 { // as withRefs names them
		deletions = append(deletions, fmt.Sprintf(":refs/heads/topic/%06d", i))
	}
	for _, step := range []struct {
		args  []string
		into  *sample
		spent *time.Duration
	}{
		{[]string{"push", "-q", s.url, "refs/heads/topic/*:refs/heads/topic/*"}, &s.pushed, &s.pushing},
		{deletions, &s.deleted, &s.deleting},
	} {
		var before time.Duration
		if s.cpu != nil {
			before = s.cpu()
		}
		start := time.Now()
		_, spent, err := s.git.spend(ctx, src, nil, step.args...)
		if err != nil {
			return err
		}
		wall := time.Since(start)
		time.Sleep(settle)
		if !counts {
			continue
		}
		step.into.wall = append(step.into.wall, wall)
		*step.spent += spent
		if s.cpu != nil {
			step.into.cpu += s.cpu() - before
		}
	}
	return nil
}
