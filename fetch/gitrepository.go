package fetch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/git"
	"github.com/plumb-gitops/plumb/source/transport"
)

// gitRepositories are GitRepositories.
type gitRepositories struct{ store *git.Store }

// GVK implements Kind.
func (gitRepositories) GVK() schema.GroupVersionKind {
	return sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind)
}

// New implements Kind.
func (gitRepositories) New() Object { return &sourcev1.GitRepository{} }

// Failure implements Kind.
func (gitRepositories) Failure() string { return sourcev1.GitOperationFailedReason }

// Fetch implements Kind.
func (k gitRepositories) Fetch(ctx context.Context, c Cluster, obj Object, last source.Snapshot) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.GitRepository)
	if err := passedOver(repo); err != nil {
		return source.Snapshot{}, err
	}
	spec := gitSpec(repo)
	err := secret(ctx, c, "spec.secretRef", repo.Spec.SecretRef, func(data map[string][]byte) (err error) {
		if spec.Auth, err = git.AuthFromSecret(data); err != nil {
			return err
		}
		return transport.TLSFromSecret(data, &spec.Transport)
	})
	if err != nil {
		return source.Snapshot{}, err
	}
	err = secret(ctx, c, "spec.proxySecretRef", repo.Spec.ProxySecretRef, func(data map[string][]byte) (err error) {
		spec.Transport.Proxy, err = transport.ProxyFromSecret(data)
		return err
	})
	if err != nil {
		return source.Snapshot{}, err
	}
	snapshot, _, err := k.store.Fetch(ctx, spec, last.Revision)
	return snapshot, badAddress(err)
}

// passedOver refuses what would have no effect: to leave out verify, say, would be
// to trust anybody.
func passedOver(repo *sourcev1.GitRepository) error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"verify", repo.Spec.Verification != nil},
		{"include", len(repo.Spec.Include) > 0},
		{"recurseSubmodules", repo.Spec.RecurseSubmodules},
		{"sparseCheckout", len(repo.Spec.SparseCheckout) > 0},
		{"provider " + repo.Spec.Provider, repo.Spec.Provider != "" && repo.Spec.Provider != sourcev1.ProviderGeneric},
	} {
		if f.set {
			return &source.InvalidError{Err: fmt.Errorf("spec.%s is not supported yet, and is not passed over: remove it", f.name)}
		}
	}
	return nil
}

// Open implements Kind.
func (k gitRepositories) Open(_ context.Context, _ Cluster, obj Object) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.GitRepository)
	return k.store.Open(gitSpec(repo), repo.Status.Artifact.Revision)
}

// Succeeded implements Kind.
func (gitRepositories) Succeeded(obj Object, s source.Snapshot) (reason, message string) {
	repo, _ := obj.(*sourcev1.GitRepository)
	repo.Status.ObservedIgnore = repo.Spec.Ignore
	return stored(s)
}

// gitSpec is what a spec says by itself, without what it refers to.
func gitSpec(repo *sourcev1.GitRepository) git.Spec {
	ref := repo.Spec.GetRef()
	return git.Spec{
		URL:    repo.Spec.URL,
		Ref:    git.Ref{Branch: ref.Branch, Tag: ref.Tag, SemVer: ref.SemVer, Name: ref.Name, Commit: ref.Commit},
		Ignore: repo.Spec.Ignore,
	}
}
