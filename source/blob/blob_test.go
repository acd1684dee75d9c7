package blob_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testsource"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/blob"
	"github.com/plumb-gitops/plumb/source/store"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	testsource.Conformance(t, func(t *testing.T, link *testlink.Link) testsource.Backend {
		server := testbucket.StartBlob(t, testbucket.Options{TLS: true})
		spec := specOf(server, server.Container(t, false))
		spec.Endpoint = strings.Replace(spec.Endpoint, server.Address, link.Address(server.Address), 1)
		b := &backend{server: server, spec: spec, dir: t.TempDir()}
		b.Restart(t)
		return b
	})
}

// backend is this package, for the suite.
type backend struct {
	server *testbucket.Blob
	spec   blob.Spec
	dir    string
	client *blob.Client
}

func (b *backend) Publish(t testing.TB, files map[string]string) {
	b.server.Publish(t, b.spec.Container, files)
}

func (b *backend) Fetch(ctx context.Context, last string) (source.Snapshot, bool, error) {
	return b.client.Fetch(ctx, b.spec, last)
}

func (b *backend) FetchDenied(ctx context.Context) error {
	spec := b.spec
	spec.Auth.AccountKey = "d3Jvbmc=" // another one
	_, _, err := b.client.Fetch(ctx, spec, "")
	return err
}

func (b *backend) Open(s source.Snapshot) (source.Snapshot, error) {
	return b.client.Open(b.spec, s.Revision)
}

func (b *backend) Restart(t testing.TB) { b.client = newClient(t, b.dir, source.DefaultLimits()) }

// Corrupt turns every blob into something else.
func (b *backend) Corrupt(t testing.TB) {
	err := filepath.WalkDir(filepath.Join(b.dir, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.WriteFile(path, []byte("damaged"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// specOf names a container of a server, with the account's key.
func specOf(s *testbucket.Blob, name string) blob.Spec {
	return blob.Spec{
		Endpoint: s.URL, Container: name, Owner: "apps/manifests", Insecure: s.CA == nil, Transport: s.Transport(),
		Auth: blob.Auth{AccountKey: testbucket.AccountKey},
	}
}

func newClient(t testing.TB, dir string, limits source.Limits) *blob.Client {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return blob.New(s, blob.Options{Limits: limits})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	testbucket.Suite(t, func(t *testing.T) testbucket.Backend {
		server := testbucket.StartBlob(t, testbucket.Options{})
		return suite{server, server.Container(t, false)}
	})
}

// suite is this package, for what buckets have in common.
type suite struct {
	*testbucket.Blob
	name string
}

func (s suite) Front() *testbucket.Server { return s.Server }

func (s suite) Put(tb testing.TB, all map[string]string) { s.Blob.Put(tb, s.name, all) }

func (s suite) Remove(tb testing.TB, key string) { s.Blob.Remove(tb, s.name, key) }

func (s suite) Fetch(ctx context.Context, tb testing.TB, w testbucket.Want, last string) (source.Snapshot, bool, error) {
	spec := specOf(s.Blob, s.name)
	spec.Prefix, spec.Ignore = w.Prefix, w.Ignore
	return newClient(tb, w.Dir, w.Limits).Fetch(ctx, spec, last)
}
