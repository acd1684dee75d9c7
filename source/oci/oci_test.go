package oci_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/internal/testsource"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
)

// repository is where tests push to.
const repository = "team/app"

func TestConformance(t *testing.T) {
	t.Parallel()
	testsource.Conformance(t, func(t *testing.T, link *testlink.Link) testsource.Backend {
		registry := testregistry.Start(t, testregistry.Options{TLS: true, Username: "reader", Password: "right"})
		spec := oci.Spec{
			URL:       "oci://" + link.Address(registry.Address) + "/" + repository,
			Transport: registry.Transport(),
			Auth:      oci.Auth{Username: "reader", Password: "right"},
		}
		b := &backend{registry: registry, spec: spec, dir: t.TempDir()}
		b.Restart(t)
		return b
	})
}

// backend is this package, for the suite.
type backend struct {
	registry *testregistry.Registry
	spec     oci.Spec
	dir      string
	client   *oci.Client
}

func (b *backend) Publish(t testing.TB, files map[string]string) {
	b.registry.Push(t, repository, "latest", testregistry.Artifact{Layers: []testregistry.Layer{{Content: testregistry.TarGz(t, files)}}})
}

func (b *backend) Fetch(ctx context.Context, last string) (source.Snapshot, bool, error) {
	return b.client.Fetch(ctx, b.spec, last)
}

func (b *backend) FetchDenied(ctx context.Context) error {
	spec := b.spec
	spec.Auth.Password = "wrong"
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

func newClient(t testing.TB, dir string, limits source.Limits) *oci.Client {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return oci.New(s, oci.Options{Limits: limits})
}

// plain is the spec of the repository on a registry without TLS.
func plain(address string) oci.Spec {
	return oci.Spec{URL: "oci://" + address + "/" + repository, Insecure: true}
}

// content is an artifact with one file, a.yaml.
func content(t testing.TB, text string) testregistry.Artifact {
	t.Helper()
	return testregistry.Artifact{Layers: []testregistry.Layer{{Content: testregistry.TarGz(t, map[string]string{"a.yaml": text})}}}
}

func push(t testing.TB, r *testregistry.Registry, tag, text string) v1.Descriptor {
	t.Helper()
	return r.Push(t, repository, tag, content(t, text))
}
