package helmrepo_test

import (
	"context"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testlink"
	"github.com/plumb-gitops/plumb/internal/testsource"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
)

// A file of the suite is a chart here: its name is the path, its version's digest
// the content.
func TestConformance(t *testing.T) {
	t.Parallel()
	testsource.Conformance(t, func(t *testing.T, link *testlink.Link) testsource.Backend {
		server := testhelm.Start(t, testhelm.Options{TLS: true, Username: "reader", Password: "right"})
		b := &backend{server: server, dir: t.TempDir(), spec: helmrepo.Spec{
			URL:       "https://" + link.Address(server.Address),
			Transport: server.Transport(),
			Username:  "reader", Password: "right",
		}}
		b.Restart(t)
		return b
	})
}

// backend is this package, for the suite.
type backend struct {
	server *testhelm.Server
	spec   helmrepo.Spec
	dir    string
	client *helmrepo.Client
}

func (b *backend) Publish(t testing.TB, files map[string]string) {
	var entries []testhelm.Entry
	for name, content := range files {
		entries = append(entries, testhelm.Entry{
			Name: name, Version: "1.0.0", URL: "a.tgz", Digest: base64.StdEncoding.EncodeToString([]byte(content)),
		})
	}
	b.server.Put("index.yaml", testhelm.Index(t, entries...))
}

func (b *backend) Fetch(ctx context.Context, last string) (source.Snapshot, bool, error) {
	s, changed, err := b.client.Fetch(ctx, b.spec, last)
	if err != nil {
		return s, changed, err
	}
	s, err = b.charts(s)
	return s, changed, err
}

func (b *backend) FetchDenied(ctx context.Context) error {
	spec := b.spec
	spec.Password = "wrong"
	_, _, err := b.client.Fetch(ctx, spec, "")
	return err
}

func (b *backend) Open(s source.Snapshot) (source.Snapshot, error) {
	s, err := b.client.Open(b.spec, s.Revision)
	if err != nil {
		return s, err
	}
	return b.charts(s)
}

// charts puts the charts of an index into the place of its tree.
func (*backend) charts(s source.Snapshot) (source.Snapshot, error) {
	content, err := s.Tree.Read("index.yaml")
	if err != nil {
		return s, err
	}
	var index struct{ Entries map[string]any }
	if err := yaml.Unmarshal(content, &index); err != nil {
		return s, err
	}
	tree := source.MemoryTree{}
	for name, versions := range index.Entries {
		digest := versions.([]any)[0].(map[string]any)["digest"].(string)
		content, err := base64.StdEncoding.DecodeString(digest)
		if err != nil {
			return s, err
		}
		tree[name] = string(content)
	}
	// An index has nothing to ignore; the suite wants to see that done.
	s.Tree, err = source.Ignored(tree, nil)
	return s, err
}

func (b *backend) Restart(t testing.TB) { b.client = newClient(t, b.dir, source.DefaultLimits()) }

// Corrupt turns every blob into something else.
func (b *backend) Corrupt(t testing.TB) { corrupt(t, b.dir) }

func corrupt(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.WriteFile(path, []byte("damaged"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func newStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newClient(t testing.TB, dir string, limits source.Limits) *helmrepo.Client {
	t.Helper()
	s := newStore(t, dir)
	return helmrepo.New(s, helmrepo.Options{Limits: limits, OCI: oci.New(s, oci.Options{Limits: limits})})
}
