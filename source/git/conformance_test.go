package git

import (
	"context"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testsource"
	"github.com/plumb-gitops/plumb/source"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	over := func(start func(t *testing.T, b *backend)) func(*testing.T, *testlink.Link) testsource.Backend {
		return func(t *testing.T, link *testlink.Link) testsource.Backend {
			b := &backend{repo: testgit.New(t), dir: t.TempDir(), spec: Spec{Ref: Ref{Branch: "main"}}}
			start(t, b)
			u := must(url.Parse(b.spec.URL))
			server := u.Host
			u.Host = link.Address(server)
			b.spec.URL = u.String()
			if b.host != nil {
				b.host(u.Host)
			}
			b.Restart(t)
			return b
		}
	}
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		testsource.Conformance(t, over(func(_ *testing.T, b *backend) {
			b.spec.URL, _ = b.repo.HTTP(testgit.Options{Username: "user", Password: secret})
			b.spec.Auth = Auth{Username: "user", Password: secret}
			b.denied = Auth{Username: "user", Password: "wrong"}
		}))
	})
	t.Run("ssh", func(t *testing.T) {
		t.Parallel()
		testsource.Conformance(t, over(func(t *testing.T, b *backend) {
			server := must(testgit.StartSSH(t.Context(), t.TempDir()))
			t.Cleanup(server.Stop)
			b.spec.URL = server.URL(b.repo.Dir())
			stranger, _ := newKey(t, "")
			b.host = func(host string) { // the link has another address than the server
				known := slices.Concat([]byte(knownhosts.Normalize(host)), server.KnownHosts[len(knownhosts.Normalize(server.Address)):])
				b.spec.Auth = Auth{Identity: server.Identity, KnownHosts: known}
				b.denied = Auth{Identity: stranger, KnownHosts: known}
			}
		}))
	})
}

// backend is this package, for the suite.
type backend struct {
	repo   *testgit.Repo
	spec   Spec
	denied Auth
	host   func(host string) // told at which address the server is reached
	dir    string
	store  *Store
}

func (b *backend) Publish(_ testing.TB, files map[string]string) {
	b.repo.Rewrite("main", testgit.Files(maps.Clone(files))...)
}

func (b *backend) Fetch(ctx context.Context, last string) (source.Snapshot, bool, error) {
	return b.store.Fetch(ctx, b.spec, last)
}

func (b *backend) FetchDenied(ctx context.Context) error {
	spec := b.spec
	spec.Auth = b.denied
	_, _, err := b.store.Fetch(ctx, spec, "")
	return err
}

func (b *backend) Open(s source.Snapshot) (source.Snapshot, error) {
	return b.store.Open(b.spec, s.Revision)
}

func (b *backend) Restart(testing.TB) { b.store = must(New(b.dir, Options{})) }

// Corrupt empties every pack.
func (b *backend) Corrupt(t testing.TB) {
	err := filepath.WalkDir(b.dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".pack" {
			return err
		}
		return os.Truncate(name, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}
