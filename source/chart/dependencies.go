package chart

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/transport"
)

// completed adds the charts that one in a folder depends on and does not bring, as
// archives below charts/, where `helm dependency build` puts them too. Versions are
// those of the lock file where there is one.
func (w *work) completed(ctx context.Context, at string, files []*loader.BufferedFile) ([]*loader.BufferedFile, error) {
	if _, err := w.valid(files); err != nil {
		return nil, err
	}
	c, err := load(files)
	if err != nil {
		return nil, err
	}
	fetched := map[string]bool{}
	for _, need := range c.Metadata.Dependencies {
		if brings(c, need) {
			continue
		}
		version, err := locked(c.Lock, need)
		if err != nil {
			return nil, err
		}
		id := need.Repository + " " + need.Name + " " + version
		if fetched[id] {
			continue // once more, with an alias
		}
		fetched[id] = true
		name, content, err := w.dependency(ctx, at, need, version)
		if err != nil {
			return nil, fmt.Errorf("dependency %q: %w", need.Name, err)
		}
		files = replaced(files, path.Join("charts", name), content)
	}
	return files, nil
}

// brings tells whether a chart has a dependency below charts/.
func brings(c *helm.Chart, need *helm.Dependency) bool {
	return slices.ContainsFunc(c.Dependencies(), func(d *helm.Chart) bool {
		return d.Name() == need.Name && (need.Version == "" || within(d.Metadata.Version, need.Version))
	})
}

func within(version, versions string) bool {
	c, err := semver.NewConstraint(versions)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && c.Check(v)
}

// locked is the version, or range, to take of a dependency.
func locked(lock *helm.Lock, need *helm.Dependency) (string, error) {
	if lock == nil {
		return need.Version, nil
	}
	for _, l := range lock.Dependencies {
		if l.Name == need.Name && strings.TrimSuffix(l.Repository, "/") == strings.TrimSuffix(need.Repository, "/") &&
			(l.Version == need.Version || within(l.Version, need.Version)) {
			return l.Version, nil
		}
	}
	return "", invalid("dependency %q: the lock file has no version within %q: run helm dependency update", need.Name, need.Version)
}

// dependency brings an archive and its name.
func (w *work) dependency(ctx context.Context, at string, need *helm.Dependency, version string) (string, []byte, error) {
	scheme, rest, _ := strings.Cut(need.Repository, "://")
	switch {
	case need.Repository == "":
		return "", nil, invalid("it is not below charts/, and no repository is named")
	case scheme == "file":
		return w.neighbour(path.Join(at, rest), need, version)
	case scheme == "http" || scheme == "https" || scheme == "oci":
		return w.remote(ctx, need, version)
	}
	return "", nil, invalid("repository %q: write its URL; names of repositories are known to one machine only", transport.Redacted(need.Repository))
}

// neighbour packs a chart from another folder of the source. As with Helm, it has
// to bring what it depends on itself.
func (w *work) neighbour(at string, need *helm.Dependency, version string) (string, []byte, error) {
	if at == ".." || strings.HasPrefix(at, "../") {
		return "", nil, invalid("%s is outside of the source", need.Repository)
	}
	if entry, err := w.spec.Source.Tree.Stat(at); err != nil || !entry.IsDir() {
		return "", nil, notFound("there is no folder %s", at)
	}
	files, err := w.folder(at)
	if err != nil {
		return "", nil, err
	}
	m, err := w.valid(files)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", at, err)
	}
	if m.Name != need.Name || version != "" && version != m.Version && !within(m.Version, version) {
		return "", nil, invalid("in %s is chart %q version %s, and wanted is version %q", at, m.Name, m.Version, version)
	}
	packed, err := pack(m.Name, files)
	return m.Name + "-" + m.Version + ".tgz", packed, err
}

// remote downloads a chart from a repository.
func (w *work) remote(ctx context.Context, need *helm.Dependency, version string) (string, []byte, error) {
	s := helmrepo.Spec{URL: need.Repository}
	if w.spec.Dependencies != nil {
		var err error
		if s, err = w.spec.Dependencies(ctx, need.Repository); err != nil {
			return "", nil, err
		}
	}
	if !strings.HasPrefix(need.Repository, "oci://") { // nobody else may keep its index fresh
		if _, _, err := w.options.Repositories.Fetch(ctx, s, ""); err != nil {
			return "", nil, err
		}
	}
	v, err := w.options.Repositories.Resolve(ctx, s, need.Name, version)
	if err != nil {
		return "", nil, err
	}
	packed, err := w.options.Repositories.Download(ctx, w.batch, s, v)
	if err != nil {
		return "", nil, err
	}
	if err := w.budget().take(need.Name, packed.Size); err != nil {
		return "", nil, err
	}
	content, err := w.store.Read(packed.Hash)
	return need.Name + "-" + v.Version + ".tgz", content, err
}
