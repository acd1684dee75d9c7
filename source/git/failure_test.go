package git

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/source"
)

// A lifetime is a repository with one good snapshot, and a server that can be
// made to fail.
type lifetime struct {
	*testgit.Repo
	store *Store
	spec  Spec
	good  source.Snapshot
	meter *testgit.Meter
	cut   atomic.Int64 // bytes after which answers are cut off; 0 for never
}

func newLifetime(t *testing.T) *lifetime {
	t.Helper()
	l := &lifetime{Repo: testgit.New(t), store: newStore(t)}
	l.Commit(testgit.File("name", "good"), testgit.File("dir/file", strings.Repeat("x", 100)))
	url, meter := l.HTTP(testgit.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n := l.cut.Load(); n > 0 && r.Method == http.MethodPost {
				w = &cutWriter{w, n}
			}
			next.ServeHTTP(w, r)
		})
	}})
	l.spec, l.meter = onMain(url), meter
	l.good = mustFetch(t, l.store, l.spec)
	return l
}

// cutWriter breaks the connection off in the middle of an answer.
type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		n := max(0, w.left+int64(len(p)))
		_, _ = w.ResponseWriter.Write(p[:n])
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}

// wantGoodKept checks that the last good snapshot can be read, as it was, and be
// opened again by this process and by the next.
func (l *lifetime) wantGoodKept(t *testing.T) {
	t.Helper()
	wantFile(t, l.good.Tree, "name", "good")
	next, err := New(l.store.dir, l.store.options)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Store{l.store, next} {
		again, err := s.Open(l.spec, l.good.Revision)
		if err != nil {
			t.Fatal(err)
		}
		wantFile(t, again.Tree, "name", "good")
		if again.Digest != l.good.Digest {
			t.Errorf("the digest of a revision changed from %s to %s", l.good.Digest, again.Digest)
		}
	}
}

// wantError fetches, and checks the message after the URL.
func (l *lifetime) wantError(t *testing.T, want string) error {
	t.Helper()
	_, _, err := l.store.Fetch(t.Context(), l.spec, l.good.Revision)
	if err == nil || err.Error() != l.spec.URL+": "+want {
		t.Fatalf("got %v\nwant %s: %s", err, l.spec.URL, want)
	}
	return err
}

// troubles are what the last good snapshot has to outlive.
var troubles = map[string]func(*testing.T, *lifetime){
	"a deleted branch": func(t *testing.T, l *lifetime) {
		l.Run("branch", "dev", "main")
		l.DeleteBranch("main")
		_ = l.wantError(t, "branch main not found; the repository has dev")
	},
	"a repository that lost all branches": func(t *testing.T, l *lifetime) {
		l.DeleteBranch("main")
		_ = l.wantError(t, "the repository has no commits: push one")
	},
	"a repository that is gone": func(t *testing.T, l *lifetime) {
		if err := os.Rename(l.Dir(), l.Dir()+".away"); err != nil {
			t.Fatal(err)
		}
		_ = l.wantError(t, "repository not found, or not visible with these credentials: check spec.url and spec.secretRef")
		if err := os.Rename(l.Dir()+".away", l.Dir()); err != nil {
			t.Fatal(err)
		}
	},
	"a commit without files": func(t *testing.T, l *lifetime) {
		l.Commit(testgit.Remove("name"), testgit.Remove("dir"))
		entries, err := mustFetch(t, l.store, l.spec).Tree.List(".")
		if err != nil || len(entries) != 0 {
			t.Errorf("got %v, %v", entries, err)
		}
	},
	"a connection that breaks off": func(t *testing.T, l *lifetime) {
		l.Commit(testgit.File("name", strings.Repeat("new", 100)))
		l.cut.Store(150)
		_ = l.wantError(t, "the connection broke off")
		l.cut.Store(0)
	},
	"a full disk": func(t *testing.T, l *lifetime) {
		l.Commit(testgit.File("name", "new"))
		gen := l.store.repository(l.spec.URL).newest()
		for _, room := range []int64{0, 20, 200} {
			gen.disk = fullAfter(room)
			_ = l.wantError(t, "keep what was fetched: no space left on device: the last revision that was fetched stays in use; make room below --storage-path")
		}
		wantNoLeftovers(t, l.store)
		gen.disk = l.store.disk
	},
	"a rewritten history": func(t *testing.T, l *lifetime) {
		l.Rewrite("main", testgit.File("name", "new"))
		wantFile(t, mustFetch(t, l.store, l.spec).Tree, "name", "new")
	},
	"a change of generation": func(t *testing.T, l *lifetime) {
		l.Commit(testgit.File("name", "new"))
		gen := l.store.repository(l.spec.URL).newest()
		gen.state.Tips = append(make([]tip, mostTips), gen.state.Tips...)
		wantFile(t, mustFetch(t, l.store, l.spec).Tree, "name", "new")
		wantFile(t, l.good.Tree, "dir/file", strings.Repeat("x", 100))
	},
}

func TestLastGoodSnapshotOutlives(t *testing.T) {
	t.Parallel()
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLifetime(t)
			trouble(t, l)
			l.wantGoodKept(t)
			last := l.Commit(testgit.File("name", "repaired"))
			snapshot := mustFetch(t, l.store, l.spec)
			wantFile(t, snapshot.Tree, "name", "repaired")
			if !strings.HasSuffix(snapshot.Revision, last) {
				t.Errorf("revision %s, want %s", snapshot.Revision, last)
			}
			wantNoLeftovers(t, l.store)
		})
	}
}

// fullAfter is a disk with little room.
func fullAfter(room int64) func(io.Writer) io.Writer {
	left := room
	return func(w io.Writer) io.Writer {
		return writerFunc(func(p []byte) (int, error) {
			if left -= int64(len(p)); left < 0 {
				return 0, syscall.ENOSPC
			}
			return w.Write(p)
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func wantNoLeftovers(t *testing.T, s *Store) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasPrefix(d.Name(), temporary) || d.Name() == "making" || strings.HasPrefix(d.Name(), "known_hosts-")) {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFirstFetchThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	l := newLifetime(t)
	s := newStore(t)
	s.disk = fullAfter(50)
	if _, _, err := s.Fetch(t.Context(), l.spec, ""); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	wantNoLeftovers(t, s)
}

func TestBigDifferenceComesAsFreshGeneration(t *testing.T) {
	t.Parallel()
	l := newLifetime(t)
	l.Commit(testgit.File("big", strings.Repeat("0123456789abcdef", mostDifference/16+1)))
	old := l.store.repository(l.spec.URL).newest().dir
	snapshot := mustFetch(t, l.store, l.spec)
	if now := l.store.repository(l.spec.URL).newest().dir; now == old {
		t.Error("a big difference went through memory")
	}
	content, err := snapshot.Tree.Read("big")
	if err != nil || len(content) != mostDifference+16 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	wantFile(t, l.good.Tree, "name", "good")
	l.good = source.Snapshot{}
	for begun := time.Now(); time.Since(begun) < time.Minute; runtime.GC() {
		if _, err := os.Stat(old); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
	t.Error("the old generation stays on the disk after the last snapshot of it is gone")
}

func TestServerWithoutShallowGivesHistory(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "first"))
	repo.Commit(testgit.File("name", "second"))
	url, meter := repo.HTTP(testgit.Options{Wrap: withoutShallow})
	s := newStore(t)
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "name", "second")
	repo.Commit(testgit.File("name", "third"))
	meter.Take()
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "name", "third")
	if got := meter.Take(); got.Downloads != 1 || got.Bytes > 1000 {
		t.Errorf("the difference costs %+v", got)
	}
	gen := s.repository(url).newest()
	if !gen.state.Tips[0].History {
		t.Errorf("tips %+v: want history", gen.state.Tips)
	}
}

// withoutShallow hides a capability of the server, by another name of the same length.
func withoutShallow(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(hidingWriter{w}, r)
	})
}

type hidingWriter struct{ http.ResponseWriter }

func (w hidingWriter) Write(p []byte) (int, error) {
	return w.ResponseWriter.Write(bytes.ReplaceAll(p, []byte(" shallow "), []byte(" hallows ")))
}

func TestServerThatSaysNothingEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, identity, known := testgit.New(t).SSH()
	s := newStore(t)
	for _, scheme := range []string{"http", "ssh"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			spec := onMain(scheme + "://" + listener.Addr().String() + "/repo")
			spec.Auth = Auth{Identity: identity, KnownHosts: known}
			_, _, err := s.Fetch(ctx, spec, "")
			if want := spec.URL + ": no answer within spec.timeout"; !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// A dialer that ends by the deadline is not taken for one that failed, though it may be
// ahead of the context.
func TestDialerThatEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	const address = "ssh://git@example.com/repo"
	for range 100 {
		end := time.Now().Add(time.Millisecond)
		ctx, cancel := context.WithDeadline(t.Context(), end)
		dial := func(context.Context, string, string) (net.Conn, error) {
			for time.Now().Before(end) { // nothing comes closer to the deadline
				runtime.Gosched()
			}
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
		}
		_, err := openSSH(ctx, dial, address, "example.com:22", "/repo", nil)
		if err := classified(ctx, address, err); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
}

func TestUnreachableServer(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1:1" // a port that was free a moment ago may be another test's by now
	s := newStore(t)
	for url, want := range map[string]string{
		"http://" + address + "/repo":      "dial: connect: connection refused",
		"http://user:pw@" + address + "/r": "dial: connect: connection refused",
	} {
		_, _, err := s.Fetch(t.Context(), onMain(url), "")
		if err == nil || err.Error() != redacted(url)+": "+want {
			t.Errorf("%s: got %v, want %s", url, err, want)
		}
	}
}

func TestServerErrorIsShort(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	url, _ := repo.HTTP(testgit.Options{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>a page\nof text</html>", http.StatusBadGateway)
		})
	}})
	_, _, err := newStore(t).Fetch(t.Context(), onMain(url), "")
	if want := url + ": the server answers with status 502"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
