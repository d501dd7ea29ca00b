package lfs

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// rotationFile says how far the objects were read.
	rotationFile = "verified.json"
	// verifyEvery is how often all objects are read.
	verifyEvery = 30 * 24 * time.Hour
	// verifyPause is the time between two looks whether that is due.
	verifyPause = time.Hour
	// verifyRate is how many bytes are read in a second at most: a small part of what a
	// disk can do.
	verifyRate = 16 << 20
	// verifySaved is after how many objects it is written down how far they were read.
	verifySaved = 500
)

// progress is the content of [rotationFile].
type progress struct {
	Began time.Time `json:"began"`
	After OID       `json:"after"` // the last that was read; "": none
	Done  bool      `json:"done"`
}

// Rotate reads all objects, slowly, one after the other, and compares each with its id, so
// that a byte that a disk has changed is found although nobody reads it. It returns when
// ctx ends, and goes on from there the next time.
func (s *Service) Rotate(ctx context.Context) error {
	loop.Every(ctx, s.o.Clock, verifyPause, func(ctx context.Context) {
		if err := s.Round(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Error("LFS objects could not be verified", "error", err)
		}
	})
	return nil
}

// Round reads the objects that are due. One that is not what its id says is set aside.
func (s *Service) Round(ctx context.Context) error {
	path := filepath.Join(s.o.Dir, rotationFile)
	var p progress
	if text, err := os.ReadFile(path); err != nil || json.Unmarshal(text, &p) != nil {
		p = progress{Done: true} // the first, or one that nothing is known of
	}
	now := s.o.Clock.Now()
	if p.Done {
		if now.Sub(p.Began) < verifyEvery {
			return nil
		}
		p = progress{Began: now}
	}
	save := func() error {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return durable.ReplaceFile(path, text, 0o600)
	}
	var bytes, objects int64
	pace := func(n int64) error {
		if bytes += n; bytes >= verifyRate {
			if bytes = 0; !loop.Sleep(ctx, s.o.Clock, time.Second, nil) {
				return context.Cause(ctx)
			}
		}
		return nil
	}
	err := s.blobs.Each(ctx, func(object Pointer) error {
		if object.OID <= p.After {
			return nil
		}
		if _, err := s.prove(ctx, object.OID, pace); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		p.After = object.OID
		if objects++; objects%verifySaved == 0 {
			return save()
		}
		return nil
	})
	p.Done = err == nil
	if saved := save(); err == nil {
		err = saved
	}
	return err
}
