package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/testgit"
)

const (
	kustomizationsPath = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/" + units + "/kustomizations"
	repositoryName     = "repo"
)

var repositoryKind = sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind)

// suite is a repository and the Kustomizations of it.
type suite struct {
	*lab
	names []string // of the Kustomizations
	repo  *testgit.Repository
	units *follower
}

// suite makes a repository with files, and declares Kustomizations of it.
func (l *lab) suite(ctx context.Context, files map[string]string, names []string, declared func(name string) string) (*suite, error) {
	s := &suite{lab: l, names: names}
	repo, url, err := l.repository(repositoryName, files)
	if err != nil {
		return nil, err
	}
	s.repo = repo
	if s.units, err = l.follow(ctx, kustomizationsPath); err != nil {
		return nil, err
	}
	return s, l.declare(ctx, names, declared, repositoryYAML(url))
}

// declare makes the objects that Plumb works on.
func (l *lab) declare(ctx context.Context, names []string, declared func(name string) string, others ...string) error {
	documents := others
	for _, name := range names {
		documents = append(documents, declared(name))
	}
	objs, err := objects(strings.Join(documents, "\n---\n"))
	if err != nil {
		return err
	}
	return l.write(ctx, objs)
}

// repositoryYAML is a GitRepository.
func repositoryYAML(url string) string {
	return fmt.Sprintf(`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: %s, namespace: %s}
spec: {interval: 5s, url: "%s", ref: {branch: main}}
`, repositoryName, units, url)
}

// unitYAML is a Kustomization of a folder of the repository; extra is YAML below
// spec.
func unitYAML(name, path, extra string) string {
	if !strings.Contains(extra, "sourceRef:") {
		extra += "\n  sourceRef: {kind: GitRepository, name: " + repositoryName + "}"
	}
	return fmt.Sprintf(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %s, namespace: %s}
spec:
  interval: 1m
  timeout: 10m
  path: ./%s
  prune: true
%s
`, name, units, path, extra)
}

// waiting is a Kustomization of the folder of its name that waits for its objects.
func waiting(name string) string { return unitYAML(name, name, "  wait: true") }

// poke has sources looked at now, as a webhook would.
func (l *lab) poke(ctx context.Context, kind schema.GroupVersionKind, names ...string) error {
	r, err := l.cluster.Resource(kind, units)
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":"%d"}}}`, time.Now().UnixNano())
	return parallel(ctx, names, func(ctx context.Context, name string) error {
		_, err := r.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

// install measures from the start of the engine until all are as wanted.
func (s *suite) install(ctx context.Context, name string, floor *floor, notes ...func(*Row)) error {
	return s.installed(ctx, name, isReady, floor, notes...)
}

func (s *suite) installed(ctx context.Context, name string, done func(state) bool, floor *floor, notes ...func(*Row)) error {
	m, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	took, err := s.all(ctx, m, s.names, done)
	if err != nil {
		return err
	}
	m.took(took)
	return m.end(ctx, floor, notes...)
}

// commit measures from a commit until those that it is about are Ready at it, and
// notes when all others have said that they looked, too.
func (s *suite) commit(ctx context.Context, name string, files map[string]string, about []string, floor *floor, notes ...func(*Row)) error {
	hash, err := s.repo.Commit("main", testgit.Files(files))
	if err != nil {
		return err
	}
	m, err := s.begin(ctx, name)
	if err != nil {
		return err
	}
	if err := s.poke(ctx, repositoryKind, repositoryName); err != nil {
		return err
	}
	there := readyAt("main@sha1:" + hash)
	took, err := s.all(ctx, m, about, there)
	if err != nil {
		return err
	}
	m.took(took)
	everybody, err := s.all(ctx, m, s.names, there)
	if err != nil {
		return err
	}
	m.extra("all_at_revision_s", quantile(everybody, 1))
	return m.end(ctx, floor, notes...)
}

// all waits for Kustomizations.
func (s *suite) all(ctx context.Context, m *step, names []string, done func(state) bool) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return s.units.await(ctx, names, m.begun, done)
}

// floors measures a bare loop that writes the objects of names in one version after
// the other.
func (l *lab) floors(ctx context.Context, names []string, what manifest, versions ...string) ([]*floor, error) {
	var all []*floor
	for _, version := range versions {
		objs, err := floorObjects(names, version, what)
		if err != nil {
			return nil, err
		}
		f, err := l.bare(ctx, bareNS, objs)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// write applies objects, as many at once as a floor does.
func (l *lab) write(ctx context.Context, objs []*unstructured.Unstructured) error {
	return parallel(ctx, objs, l.apply)
}
