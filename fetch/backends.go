package fetch

import (
	"net/http"
	"path/filepath"

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
}

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
			gitRepositories{repositories},
			buckets{bucket.New(kept, bucket.Options{Limits: o.Limits}), blob.New(kept, blob.Options{Limits: o.Limits})},
			ociRepositories{registries},
			helmRepositories{indexes},
			helmCharts{charts},
		},
		External: &External{store: kept, limits: o.Limits, client: &http.Client{Transport: direct}},
		Store:    kept,
	}, nil
}
