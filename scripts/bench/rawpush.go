package main

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // of an empty pack
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core/git/pktline"
)

// manyAlone sends what git sends when it pushes the branches of src and deletes them
// again, without a git that compares each with each first: what is measured is the
// server's answer alone. Both servers have the objects.
func (b *bench) manyAlone(ctx context.Context, src, ours, token, plain string) (mine, theirs sample, err error) {
	listed, err := b.git.run(ctx, src, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/topic/")
	if err != nil {
		return mine, theirs, err
	}
	var creations, deletions []byte
	const none = "0000000000000000000000000000000000000000"
	capabilities := "\x00report-status agent=bench"
	for line := range strings.Lines(listed) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		creations = pktline.Appendf(creations, "%s %s %s%s", none, id, name, capabilities)
		deletions = pktline.Appendf(deletions, "%s %s %s%s", id, none, name, capabilities)
		capabilities = "" // of the first one alone
	}
	pack := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	sum := sha1.Sum(pack) //nolint:gosec // gitformat-pack(5)
	creations = append(append(append(creations, pktline.FlushPacket...), pack...), sum[:]...)
	deletions = append(deletions, pktline.FlushPacket...)
	for round := range b.rounds(9) + 1 {
		for _, side := range []struct {
			url, token string
			into       *sample
		}{{ours, token, &mine}, {plain, "", &theirs}} {
			took, err := rawPush(ctx, side.url, side.token, creations)
			if err == nil {
				_, err = rawPush(ctx, side.url, side.token, deletions)
			}
			if err != nil {
				return mine, theirs, err
			}
			if round > 0 {
				side.into.wall = append(side.into.wall, took)
			}
			time.Sleep(settle)
		}
	}
	return mine, theirs, nil
}

// rawPush sends the body of a push and reads the report, in which everything must be ok.
func rawPush(ctx context.Context, url, token string, body []byte) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/git-receive-pack", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	if token != "" {
		r.SetBasicAuth("bench", token)
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	report, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	if err == nil && (resp.StatusCode != http.StatusOK || !bytes.Contains(report, []byte("unpack ok")) || bytes.Contains(report, []byte("ng refs/"))) {
		err = fmt.Errorf("%s answered %d: %.300q", url, resp.StatusCode, report)
	}
	return took, err
}
