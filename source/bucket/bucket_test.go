package bucket_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testsource"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/bucket"
	"github.com/plumb-gitops/plumb/source/store"
)

// name is the bucket of the tests.
const name = "manifests"

func TestConformance(t *testing.T) {
	t.Parallel()
	testsource.Conformance(t, func(t *testing.T, link *testlink.Link) testsource.Backend {
		server := start(t, testbucket.Options{TLS: true})
		spec := specOf(server)
		spec.Endpoint = link.Address(server.Address)
		b := &backend{server: server, spec: spec, dir: t.TempDir()}
		b.Restart(t)
		return b
	})
}

// backend is this package, for the suite.
type backend struct {
	server *testbucket.S3
	spec   bucket.Spec
	dir    string
	client *bucket.Client
}

func (b *backend) Publish(t testing.TB, files map[string]string) { b.server.Publish(t, name, files) }

func (b *backend) Fetch(ctx context.Context, last string) (source.Snapshot, bool, error) {
	return b.client.Fetch(ctx, b.spec, last)
}

func (b *backend) FetchDenied(ctx context.Context) error {
	spec := b.spec
	spec.Keys.Secret = "wrong"
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

// start starts a server with the bucket.
func start(t testing.TB, o testbucket.Options) *testbucket.S3 {
	t.Helper()
	server := testbucket.StartS3(t, o)
	server.Bucket(t, name)
	return server
}

// specOf names the bucket of a server, with what it takes to get in.
func specOf(s *testbucket.S3) bucket.Spec {
	return bucket.Spec{
		Endpoint: s.Address, Bucket: name, Owner: "apps/manifests", Insecure: s.CA == nil, Transport: s.Transport(),
		Keys: bucket.Keys{Access: s.Access, Secret: s.Secret},
	}
}

func newClient(t testing.TB, dir string, limits source.Limits) *bucket.Client {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return bucket.New(s, bucket.Options{Limits: limits})
}

func TestSuite(t *testing.T) {
	t.Parallel()
	testbucket.Suite(t, func(t *testing.T) testbucket.Backend { return suite{start(t, testbucket.Options{})} })
}

// suite is this package, for what buckets have in common.
type suite struct{ *testbucket.S3 }

func (s suite) Front() *testbucket.Server { return s.Server }

func (s suite) Put(tb testing.TB, all map[string]string) { s.S3.Put(tb, name, all) }

func (s suite) Remove(tb testing.TB, key string) { s.S3.Remove(tb, name, key) }

func (s suite) Fetch(ctx context.Context, tb testing.TB, w testbucket.Want, last string) (source.Snapshot, bool, error) {
	spec := specOf(s.S3)
	spec.Prefix, spec.Ignore = w.Prefix, w.Ignore
	return newClient(tb, w.Dir, w.Limits).Fetch(ctx, spec, last)
}
