package chart_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/internal/testsource"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/chart"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
)

// A file of the suite is a file of a chart here.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("HTTP", func(t *testing.T) {
		t.Parallel()
		testsource.Conformance(t, func(t *testing.T, link *testlink.Link) testsource.Backend {
			server := testhelm.Start(t, testhelm.Options{TLS: true, Username: "reader", Password: "right"})
			spec := helmrepo.Spec{URL: "https://" + link.Address(server.Address), Transport: server.Transport()}
			return newBackend(t, spec, func(t testing.TB, version string, archive []byte) {
				server.Publish(t, map[string][]byte{"app-" + version + ".tgz": archive})
			})
		})
	})
	t.Run("OCI", func(t *testing.T) {
		t.Parallel()
		testsource.Conformance(t, func(t *testing.T, link *testlink.Link) testsource.Backend {
			registry := testregistry.Start(t, testregistry.Options{TLS: true, Username: "reader", Password: "right"})
			spec := helmrepo.Spec{URL: "oci://" + link.Address(registry.Address), Type: helmrepo.TypeOCI, Transport: registry.Transport()}
			return newBackend(t, spec, func(t testing.TB, version string, archive []byte) { pushChart(t, registry, version, archive) })
		})
	})
}

func pushChart(t testing.TB, registry *testregistry.Registry, version string, archive []byte) {
	t.Helper()
	registry.Push(t, "app", version, testregistry.Artifact{
		Type:   "application/vnd.cncf.helm.config.v1+json",
		Layers: []testregistry.Layer{{MediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", Content: archive}},
	})
}

// backend is this package, for the suite.
type backend struct {
	publish   func(t testing.TB, version string, archive []byte)
	published int
	spec      helmrepo.Spec
	dir       string
	*built
}

func newBackend(t testing.TB, spec helmrepo.Spec, publish func(t testing.TB, version string, archive []byte)) *backend {
	t.Helper()
	spec.Username, spec.Password = "reader", "right"
	b := &backend{publish: publish, spec: spec, dir: t.TempDir()}
	b.Restart(t)
	return b
}

// Publish brings a version that is higher than those before.
func (b *backend) Publish(t testing.TB, files map[string]string) {
	b.published++
	version := fmt.Sprintf("1.0.%d", b.published)
	b.publish(t, version, testhelm.Chart(t, "app", version, files))
}

func (b *backend) Fetch(ctx context.Context, last string) (source.Snapshot, bool, error) {
	return b.fetch(ctx, b.spec, last)
}

func (b *backend) fetch(ctx context.Context, s helmrepo.Spec, last string) (source.Snapshot, bool, error) {
	if s.Type != helmrepo.TypeOCI {
		if _, _, err := b.repositories.Fetch(ctx, s, ""); err != nil {
			return source.Snapshot{}, false, err
		}
	}
	found, changed, err := b.builder.Fetch(ctx, chart.Spec{Chart: "app", Repository: &s}, last)
	if err != nil {
		return source.Snapshot{}, false, err
	}
	out, err := content(found)
	return out, changed, err
}

func (b *backend) FetchDenied(ctx context.Context) error {
	spec := b.spec
	spec.Password = "wrong"
	_, _, err := b.fetch(ctx, spec, "")
	return err
}

func (b *backend) Open(s source.Snapshot) (source.Snapshot, error) {
	found, err := b.builder.Open(s.Revision, s.Digest)
	if err != nil {
		return source.Snapshot{}, err
	}
	return content(found)
}

func (b *backend) Restart(t testing.TB) { b.built = newBuilt(t, b.dir, source.DefaultLimits()) }

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

// content is a chart's snapshot without what the suite did not put there. Nothing
// of a packed chart is ignored; the suite wants to see that done.
func content(c chart.Chart) (s source.Snapshot, err error) {
	s = c.Snapshot
	s.Tree, err = source.Ignored(below{c.Tree, c.Name}, nil)
	return s, err
}

// below is a folder of a tree, without its Chart.yaml.
type below struct {
	source.Tree
	folder string
}

func (b below) Stat(name string) (source.Entry, error) { return b.Tree.Stat(path.Join(b.folder, name)) }
func (b below) Read(name string) ([]byte, error)       { return b.Tree.Read(path.Join(b.folder, name)) }

func (b below) List(name string) ([]source.Entry, error) {
	entries, err := b.Tree.List(path.Join(b.folder, name))
	var others []source.Entry
	for _, e := range entries {
		if e.Name != "Chart.yaml" {
			others = append(others, e)
		}
	}
	return others, err
}

// built is a builder and what it is made of.
type built struct {
	store        *store.Store
	repositories *helmrepo.Client
	builder      *chart.Builder
}

func newBuilt(t testing.TB, dir string, limits source.Limits) *built {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repositories := helmrepo.New(s, helmrepo.Options{Limits: limits, OCI: oci.New(s, oci.Options{Limits: limits})})
	return &built{s, repositories, chart.New(s, chart.Options{Limits: limits, Repositories: repositories})}
}
