// Package testsource is what every backend of package source has to do, as one
// suite of tests. A backend comes with a real server behind a link that breaks
// when told to.
package testsource

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/source"
)

// Backend is a backend under test, set up to fetch from one server.
type Backend interface {
	// Publish makes the server hold exactly these files: path -> content.
	Publish(t testing.TB, files map[string]string)
	// Fetch fetches with good credentials, through the link.
	Fetch(ctx context.Context, last string) (source.Snapshot, bool, error)
	// FetchDenied fetches with credentials that the server refuses.
	FetchDenied(ctx context.Context) error
	// Open opens a snapshot that was fetched, without the server.
	Open(s source.Snapshot) (source.Snapshot, error)
	// Restart opens the backend's store anew, as the next process would.
	Restart(t testing.TB)
	// Corrupt damages what the store holds of the last fetch.
	Corrupt(t testing.TB)
}

// patience is the timeout of a fetch from a server that does not answer. No test
// asks that anything is faster than this.
const patience = 300 * time.Millisecond

// Conformance runs the suite; start makes a backend with a server of its own.
func Conformance(t *testing.T, start func(t *testing.T, link *testlink.Link) Backend) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			link := testlink.New(t)
			c.run(t, &bench{t, start(t, link), link})
		})
	}
}

// bench is one backend of one case.
type bench struct {
	t *testing.T
	Backend
	link *testlink.Link
}

// first is what most cases begin with.
var first = map[string]string{"a.yaml": "a: 1\n", "deep/er/b.yaml": "b: 2\n"}

var cases = []struct {
	name string
	run  func(t *testing.T, b *bench)
}{
	{"first fetch", func(_ *testing.T, b *bench) {
		b.Publish(b.t, first)
		b.holds(b.fetched("", true), first)
	}},
	{"unchanged", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		one := b.fetched("", true)
		two := b.fetched(one.Revision, false)
		if one.Revision != two.Revision || one.Digest != two.Digest {
			t.Errorf("%s %s became %s %s", one.Revision, one.Digest, two.Revision, two.Digest)
		}
		b.holds(two, first)
	}},
	{"changed", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		one := b.fetched("", true)
		next := with(first, "a.yaml", "a: 3\n")
		b.Publish(t, next)
		two := b.fetched(one.Revision, true)
		if one.Digest == two.Digest {
			t.Error("the digest is the same")
		}
		b.holds(two, next)
		b.holds(one, first) // a snapshot never changes
	}},
	{"removed", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		one := b.fetched("", true)
		b.Publish(t, map[string]string{"a.yaml": "a: 1\n"})
		b.holds(b.fetched(one.Revision, true), map[string]string{"a.yaml": "a: 1\n"})
	}},
	{"ignored", func(t *testing.T, b *bench) {
		b.Publish(t, with(with(first, ".sourceignore", "/deep\n"), "logo.png", "no"))
		s := b.fetched("", true)
		b.holds(s, map[string]string{"a.yaml": "a: 1\n", ".sourceignore": "/deep\n"})
	}},
	{"auth refused", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		if err := b.FetchDenied(t.Context()); !errors.As(err, new(*source.AuthError)) {
			t.Errorf("with wrong credentials: %v", err)
		}
	}},
	{"server down", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		one := b.fetched("", true)
		b.link.Cut()
		if _, _, err := b.Fetch(t.Context(), one.Revision); err == nil {
			t.Error("a fetch from nowhere succeeds")
		}
		b.holds(b.opened(one), first)
		b.link.Heal()
		b.holds(b.fetched(one.Revision, false), first)
	}},
	{"server slow beyond timeout", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		b.link.Stall()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, _, err := b.Fetch(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beyond the timeout: %v", err)
		}
		b.link.Heal()
		b.holds(b.fetched("", true), first)
	}},
	{"truncated body", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		for _, bytes := range []int64{1, 64, 300, 700} {
			b.link.TruncateAfter(bytes)
			s, _, err := b.Fetch(t.Context(), "")
			if err == nil {
				b.holds(s, first) // it needed no more than that
			}
			b.link.Heal()
		}
		b.holds(b.fetched("", true), first)
	}},
	{"cancelled", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := b.Fetch(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		b.holds(b.fetched("", true), first)
	}},
	{"concurrent fetches of one URL", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				s, _, err := b.Fetch(t.Context(), "")
				if err != nil {
					t.Error(err)
					return
				}
				b.holds(s, first)
			})
		}
		all.Wait()
	}},
	{"restart", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		one := b.fetched("", true)
		b.Restart(t)
		b.link.Cut()
		two := b.opened(one)
		if two.Digest != one.Digest || two.Revision != one.Revision {
			t.Errorf("%s %s reads back as %s %s", one.Revision, one.Digest, two.Revision, two.Digest)
		}
		b.holds(two, first)
		b.link.Heal()
		b.holds(b.fetched(one.Revision, false), first)
	}},
	{"corrupt store", func(t *testing.T, b *bench) {
		b.Publish(t, first)
		one := b.fetched("", true)
		b.Corrupt(t)
		b.Restart(t)
		if s, err := b.Open(one); err == nil {
			if _, err = content(s.Tree); err == nil {
				t.Error("damaged content reads as if nothing were")
			} else if !source.IsLost(err) {
				t.Errorf("damaged content: %v", err)
			}
		}
		s, _, err := b.Fetch(t.Context(), "")
		if err != nil {
			t.Fatalf("fetch again: %v", err)
		}
		b.holds(s, first)
	}},
}

func (b *bench) fetched(last string, changed bool) source.Snapshot {
	b.t.Helper()
	s, differs, err := b.Fetch(b.t.Context(), last)
	if err != nil {
		b.t.Fatal(err)
	}
	if differs != changed {
		b.t.Errorf("revision %s after %q counts as changed: %t", s.Revision, last, differs)
	}
	return s
}

func (b *bench) opened(of source.Snapshot) source.Snapshot {
	b.t.Helper()
	s, err := b.Open(of)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// holds checks that a snapshot has exactly these files.
func (b *bench) holds(s source.Snapshot, want map[string]string) {
	b.t.Helper()
	got, err := content(s.Tree)
	if err != nil {
		b.t.Error(err)
	} else if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("revision %s holds other files (- want, + got):\n%s", s.Revision, diff)
	}
}

// content is all files of a tree.
func content(t source.Tree) (map[string]string, error) {
	files := map[string]string{}
	folders := []string{"."}
	for len(folders) > 0 {
		entries, err := t.List(folders[0])
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := path.Join(folders[0], e.Name)
			if e.IsDir() {
				folders = append(folders, name)
				continue
			}
			data, err := t.Read(name)
			if err != nil {
				return nil, err
			}
			files[name] = string(data)
		}
		folders = slices.Clone(folders[1:])
	}
	return files, nil
}

func with(files map[string]string, name, text string) map[string]string {
	out := maps.Clone(files)
	out[name] = text
	return out
}
