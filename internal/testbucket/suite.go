package testbucket

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/source"
)

// Backend is a backend under test, with a bucket of its own on one server.
type Backend interface {
	// Front is the way to the server.
	Front() *Server
	// Put puts objects into the bucket.
	Put(tb testing.TB, objects map[string]string)
	// Remove removes an object.
	Remove(tb testing.TB, key string)
	// Fetch fetches the bucket as another process would: all that it has is in a folder.
	Fetch(ctx context.Context, tb testing.TB, w Want, last string) (source.Snapshot, bool, error)
}

// Want is what is fetched, and into which folder.
type Want struct {
	Dir    string
	Prefix string
	Ignore *string
	Limits source.Limits
}

// Suite runs what the backends of buckets have in common, beside the conformance of
// all sources. Downloads are counted at the server.
func Suite(t *testing.T, start func(t *testing.T) Backend) {
	for name, run := range map[string]func(b *bench){
		"only what changed is downloaded":      changes,
		"keys and etags make the revision":     revisions,
		"what is ignored is not downloaded":    ignores,
		"a prefix":                             prefixes,
		"folders stand for nothing":            folders,
		"changed between listing and download": races,
		"removed between listing and download": vanishes,
		"limits hold before the download":      limits,
		"what was downloaded is kept":          resumes,
		"cancelled between downloads":          cancels,
		"keys that are hard to write":          names,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(&bench{t, start(t), Want{Dir: t.TempDir(), Limits: source.DefaultLimits()}})
		})
	}
}

// bench is one backend of one case.
type bench struct {
	*testing.T
	Backend
	want Want
}

// fetched fetches, and tells which keys were downloaded for it.
func (b *bench) fetched(last string) (s source.Snapshot, downloads []string) {
	b.Helper()
	b.Front().Take()
	s, changed, err := b.Fetch(b.Context(), b, b.want, last)
	if err != nil {
		b.Fatal(err)
	}
	if changed != (s.Revision != last) {
		b.Errorf("revision %s after %s counts as changed: %t", s.Revision, last, changed)
	}
	return s, b.Front().Downloads()
}

// holds checks which files a snapshot has.
func (b *bench) holds(s source.Snapshot, want map[string]string) {
	b.Helper()
	got := map[string]string{}
	var walk func(string)
	walk = func(folder string) {
		entries, err := s.Tree.List(folder)
		check(b, err)
		for _, e := range entries {
			name := path.Join(folder, e.Name)
			if e.IsDir() {
				walk(name)
				continue
			}
			content, err := s.Tree.Read(name)
			check(b, err)
			got[name] = string(content)
		}
	}
	walk(".")
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("it holds other files (- want, + got):\n%s", diff)
	}
}

// several are so many small objects.
func several(n int) map[string]string {
	objects := map[string]string{}
	for i := range n {
		objects[fmt.Sprintf("apps/%d/file-%02d.yaml", i%5, i)] = fmt.Sprintf("number: %d\n", i)
	}
	return objects
}

func changes(b *bench) {
	all := several(40)
	b.Put(b, all)
	one, got := b.fetched("")
	if len(got) != 40 {
		b.Errorf("the first fetch downloads %d objects: %q", len(got), got)
	}
	before := written(b, b.want.Dir)
	if _, got := b.fetched(one.Revision); len(got) != 0 {
		b.Errorf("nothing changed, and %q are downloaded", got)
	}
	if diff := cmp.Diff(before, written(b, b.want.Dir)); diff != "" {
		b.Errorf("nothing changed, and files are written:\n%s", diff)
	}
	if _, got := b.fetched(""); len(got) != 0 {
		b.Errorf("the store has all, and %q are downloaded", got)
	}
	all["apps/2/file-07.yaml"] = "number: 700\n"
	b.Put(b, map[string]string{"apps/2/file-07.yaml": "number: 700\n"})
	two, got := b.fetched(one.Revision)
	if len(got) != 1 || !strings.HasSuffix(got[0], "apps/2/file-07.yaml") {
		b.Errorf("one object changed, and %q are downloaded", got)
	}
	b.holds(two, all)
	b.Remove(b, "apps/0/file-00.yaml")
	delete(all, "apps/0/file-00.yaml")
	three, got := b.fetched(two.Revision)
	if len(got) != 0 || three.Revision == two.Revision {
		b.Errorf("one object was removed, and %q are downloaded for %s", got, three.Revision)
	}
	b.holds(three, all)
}

// written are the files in a folder, with the time at which each was written.
func written(tb testing.TB, dir string) map[string]time.Time {
	tb.Helper()
	files := map[string]time.Time{}
	check(tb, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files[name] = info.ModTime()
		}
		return err
	}))
	return files
}

func revisions(b *bench) {
	b.Put(b, map[string]string{"b.yaml": "b", "a/c.yaml": "c"})
	one, _ := b.fetched("")
	if !strings.HasPrefix(one.Revision, "sha256:") || len(one.Revision) != len("sha256:")+2*sha256.Size || !strings.HasPrefix(one.Digest, "sha256:") {
		b.Errorf("revision %s, digest %s", one.Revision, one.Digest)
	}
	// The same content under another key is another revision.
	b.Put(b, map[string]string{"c.yaml": "b"})
	if two, _ := b.fetched(one.Revision); two.Revision == one.Revision || two.Digest == one.Digest {
		b.Errorf("%s and %s stay", two.Revision, two.Digest)
	}
	b.Remove(b, "c.yaml")
	if three, _ := b.fetched(one.Revision); three.Revision != one.Revision || three.Digest != one.Digest {
		b.Errorf("the same is %s now, was %s", three.Revision, one.Revision)
	}
}

func ignores(b *bench) {
	b.Put(b, map[string]string{
		".sourceignore": "/logs\n*.md\n", "sub/.sourceignore": "!keep.md\n", "a.yaml": "a", "a.md": "a", "sub/keep.md": "k", "logs/1": "1", "logs/deep/2": "2", "x.png": "x",
	})
	s, got := b.fetched("")
	b.holds(s, map[string]string{".sourceignore": "/logs\n*.md\n", "sub/.sourceignore": "!keep.md\n", "a.yaml": "a", "sub/keep.md": "k"})
	if len(got) != 4 {
		b.Errorf("downloaded %q", got)
	}
	// Another object that is ignored is not a change.
	b.Put(b, map[string]string{"logs/3": "3"})
	if again, got := b.fetched(s.Revision); again.Revision != s.Revision || len(got) != 0 {
		b.Errorf("an ignored object makes %s of %s, and downloads %q", again.Revision, s.Revision, got)
	}
	b.want.Ignore = new("!/logs\n/logs/deep\nsub/")
	s, got = b.fetched(s.Revision)
	b.holds(s, map[string]string{".sourceignore": "/logs\n*.md\n", "a.yaml": "a", "logs/1": "1", "logs/3": "3"})
	if len(got) != 2 {
		b.Errorf("with rules in the spec, downloaded %q", got)
	}
	// Rules that hide their own file cost no download each time.
	if _, got := b.fetched(s.Revision); len(got) != 0 {
		b.Errorf("unchanged, downloaded %q", got)
	}
}

func prefixes(b *bench) {
	b.Put(b, map[string]string{"apps/a.yaml": "a", "apps-old/b.yaml": "b", "infra/c.yaml": "c"})
	b.want.Prefix = "apps/"
	s, got := b.fetched("")
	b.holds(s, map[string]string{"apps/a.yaml": "a"})
	if len(got) != 1 {
		b.Errorf("downloaded %q", got)
	}
	b.want.Prefix = "app"
	s, _ = b.fetched(s.Revision)
	b.holds(s, map[string]string{"apps/a.yaml": "a", "apps-old/b.yaml": "b"})
	b.want.Prefix = "none/"
	s, _ = b.fetched(s.Revision)
	b.holds(s, map[string]string{})
}

func folders(b *bench) {
	b.Put(b, map[string]string{"a/": "", "a/b.yaml": "b", "empty/": ""})
	s, _ := b.fetched("")
	b.holds(s, map[string]string{"a/b.yaml": "b"})
}

// during does something while the first object is being asked for.
func (b *bench) during(do func()) {
	var once sync.Once
	b.Front().Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".yaml") {
			once.Do(do)
		}
		return true
	})
}

func races(b *bench) {
	all := several(5)
	b.Put(b, all)
	next := maps.Clone(all)
	for key, content := range next {
		next[key] = strings.Repeat("#", len(content)) // its length does not tell
	}
	b.during(func() { b.Put(b, next) })
	s, _ := b.fetched("")
	b.holds(s, next)
	// The revision is that of what it holds, not of the listing before.
	if again, got := b.fetched(s.Revision); again.Revision != s.Revision || len(got) != 0 {
		b.Errorf("%s became %s, with downloads of %q", s.Revision, again.Revision, got)
	}
}

func vanishes(b *bench) {
	b.Put(b, map[string]string{"a.yaml": "a", "b.yaml": "b"})
	b.during(func() { b.Remove(b, "a.yaml"); b.Remove(b, "b.yaml"); b.Put(b, map[string]string{"c.yaml": "c"}) })
	s, _ := b.fetched("")
	b.holds(s, map[string]string{"c.yaml": "c"})
}

func limits(b *bench) {
	b.Put(b, map[string]string{"a.yaml": "123456", "deep/er/b.yaml": "123456"})
	for flag, limits := range map[string]source.Limits{
		"--max-files":      {Files: 1},
		"--max-file-size":  {FileBytes: 5},
		"--max-tree-size":  {TreeBytes: 11},
		"--max-path-depth": {Depth: 2},
	} {
		b.want.Limits = limits
		b.Front().Take()
		_, _, err := b.Fetch(b.Context(), b, b.want, "")
		limit, ok := errors.AsType[*source.LimitError](err)
		if !ok || limit.Flag != flag {
			b.Errorf("%s: %v", flag, err)
		}
		if got := b.Front().Downloads(); len(got) != 0 {
			b.Errorf("%s: downloaded %q", flag, got)
		}
	}
}

func resumes(b *bench) {
	b.Put(b, several(20))
	// Its turn comes when four are through: 16 are downloaded at once.
	b.Front().Before(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "file-19.yaml") {
			http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
			return false
		}
		return true
	})
	if _, _, err := b.Fetch(b.Context(), b, b.want, ""); err == nil || !strings.Contains(err.Error(), "503") {
		b.Errorf("while the server fails: %v", err)
	}
	b.Front().Before(nil)
	s, got := b.fetched("")
	b.holds(s, several(20))
	slices.Sort(got)
	// Requests that the first fetch gave up may come in now. What they are about was not
	// downloaded, so it is here a second time.
	if got = slices.Compact(got); len(got) > 16 {
		b.Errorf("the fetch after that downloads %d objects of 20", len(got))
	}
}

func cancels(b *bench) {
	b.Put(b, several(20))
	ctx, cancel := context.WithCancel(b.Context())
	b.during(cancel)
	if _, _, err := b.Fetch(ctx, b, b.want, ""); !errors.Is(err, context.Canceled) {
		b.Errorf("cancelled: %v", err)
	}
	b.Front().Before(nil)
	s, _ := b.fetched("")
	b.holds(s, several(20))
}

func names(b *bench) {
	all := map[string]string{"with space.yaml": "1", "ü/ö.yaml": "2", "a+b.yaml": "3", "a%2Fb.yaml": "4", "q?x=1&y.yaml": "5", "#1.yaml": "6", "Upper.yaml": "7", "upper.yaml": "8"}
	b.Put(b, all)
	s, got := b.fetched("")
	b.holds(s, all)
	if len(got) != len(all) {
		b.Errorf("downloaded %q", slices.Sorted(slices.Values(got)))
	}
}
