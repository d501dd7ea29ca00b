package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/client"
)

// The program embeds a server beside handlers of its own, with its own listener,
// logger and users.
func Example() {
	// First of all in main: the built-in providers are processes of this program.
	if served, err := builtin.Serve(os.Args); served {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	if err := embed(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// created hello by ada
	// the program's own page: 200 OK
}

func embed(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "embedded-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// A listener of our own tells the address, which links in answers begin with.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	srv, err := server.New(ctx, server.Options{
		DataDir:       dir,
		PublicURL:     base,
		Version:       "example",
		Logger:        server.SlogLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		Builtins:      builtin.All(),
		PluginCommand: builtin.Command(),
		Authenticate:  authenticate,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	mux := http.NewServeMux()
	mux.Handle("/", srv.Handler())
	mux.HandleFunc("/about", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "a program with a Git server in it") })
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	go func() { ran <- srv.Run(ctx) }()

	err = use(ctx, base)

	// Both at once: the requests of running pushes end when the pushes do.
	drain, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- srv.Shutdown(drain) }()
	err = errors.Join(err, web.Shutdown(drain), <-drained, <-ran)
	if served := <-served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// authenticate knows one API key of the program's users. What it does not know the
// server takes for one of its own signed tokens.
func authenticate(_ context.Context, token string) (access.Identity, bool, error) {
	if token != "ada-s3cret" {
		return access.Identity{}, false, nil
	}
	return access.Identity{
		Org:       "local",
		Subject:   "ada",
		Repo:      "hello", // the one repository that the key opens
		Scopes:    access.Scopes(),
		ExpiresAt: time.Now().Add(time.Hour),
	}, true, nil
}

// use calls the API, and the handler of the program itself.
func use(ctx context.Context, base string) error {
	api, err := client.New(base, client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer ada-s3cret")
		r.Close = true // the example ends here
		return nil
	}))
	if err != nil {
		return err
	}
	repo, err := api.CreateRepository(ctx, nil, client.CreateRepositoryRequest{})
	if err != nil {
		return err
	}
	fmt.Println("created", repo.RepoName, "by ada")

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/about", nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	fmt.Println("the program's own page:", resp.Status)
	return resp.Body.Close()
}
