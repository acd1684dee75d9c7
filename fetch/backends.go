package fetch

import (
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/blob"
	"github.com/plumb-gitops/plumb/source/bucket"
	"github.com/plumb-gitops/plumb/source/chart"
	"github.com/plumb-gitops/plumb/source/git"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of the backends.
type Options struct {
	Git    git.Options
	Limits source.Limits
	Store  store.Options
}

// Backends are all that bring sources, with the folder in which they keep them.
type Backends struct {
	Kinds    []Kind
	External *External
	Store    *store.Store
	// Retention is how long what no source needs any more stays.
	Retention time.Duration

	git *git.Store
}

// Keep says which digests are in use; what they name is not collected.
func (b *Backends) Keep(inUse func() []string) { b.Store.Keep(inUse) }

// Forget drops what is kept for a source that is no more.
func (b *Backends) Forget(kind string, name types.NamespacedName) {
	if kind == sourcev1.GitRepositoryKind {
		b.git.Forget(gitOwner(name.Namespace, name.Name))
	}
}

// Collect removes what no source needs any more.
func (b *Backends) Collect() error { return errors.Join(b.Store.Collect(), b.git.Collect()) }

// Open makes the backends, with the folder dir to themselves.
func Open(dir string, o Options) (*Backends, error) {
	kept, err := store.Open(filepath.Join(dir, "store"), o.Store)
	if err != nil {
		return nil, err
	}
	repositories, err := git.New(filepath.Join(dir, "git"), o.Git)
	if err != nil {
		return nil, err
	}
	direct, err := transport.New(transport.Options{})
	if err != nil {
		return nil, err
	}
	registries := oci.New(kept, oci.Options{Limits: o.Limits})
	indexes := helmrepo.New(kept, helmrepo.Options{Limits: o.Limits, OCI: registries})
	charts := chart.New(kept, chart.Options{Limits: o.Limits, Repositories: indexes})
	return &Backends{
		Kinds: []Kind{
			gitRepositories{repositories, newLogins()},
			buckets{bucket.New(kept, bucket.Options{Limits: o.Limits}), blob.New(kept, blob.Options{Limits: o.Limits})},
			ociRepositories{registries},
			helmRepositories{indexes},
			helmCharts{charts},
		},
		External: &External{store: kept, limits: o.Limits, client: &http.Client{Transport: direct}},
		Store:    kept,

		Retention: o.Store.Retention,
		git:       repositories,
	}, nil
}
