package fetch

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/helmrepo"
	"github.com/plumb-gitops/plumb/source/transport"
)

// helmRepositories are HelmRepositories. Those in a registry have nothing to fetch.
type helmRepositories struct{ client *helmrepo.Client }

// GVK implements Kind.
func (helmRepositories) GVK() schema.GroupVersionKind {
	return sourcev1.GroupVersion.WithKind(sourcev1.HelmRepositoryKind)
}

// New implements Kind.
func (helmRepositories) New() Object { return &sourcev1.HelmRepository{} }

// Failure implements Kind.
func (helmRepositories) Failure() string { return sourcev1.IndexationFailedReason }

// Fetch implements Kind.
func (k helmRepositories) Fetch(ctx context.Context, c Cluster, obj Object, last source.Snapshot) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.HelmRepository)
	spec, err := helmSpec(ctx, c, repo)
	if err != nil || repo.Spec.IsOCI() {
		return source.Snapshot{}, err
	}
	snapshot, _, err := k.client.Fetch(ctx, spec, last.Revision)
	return snapshot, badAddress(err)
}

// Open implements Kind.
func (k helmRepositories) Open(_ context.Context, _ Cluster, obj Object) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.HelmRepository)
	return k.client.Open(helmrepo.Spec{URL: repo.Spec.URL, Type: repo.Spec.Type}, repo.Status.Artifact.Revision)
}

// Succeeded implements Kind.
func (helmRepositories) Succeeded(obj Object, s source.Snapshot) (reason, message string) {
	repo, _ := obj.(*sourcev1.HelmRepository)
	if repo.Spec.IsOCI() {
		repo.Status.Artifact, repo.Status.URL = nil, ""
		return meta.SucceededReason, "charts are looked for in the registry when a HelmChart asks for one"
	}
	repo.Status.URL = latest(repo.Status.Artifact)
	return stored(s)
}

// helmSpec is how to get into a repository.
func helmSpec(ctx context.Context, c Cluster, repo *sourcev1.HelmRepository) (helmrepo.Spec, error) {
	spec := helmrepo.Spec{URL: repo.Spec.URL, Type: repo.Spec.Type, PassCredentials: repo.Spec.PassCredentials, Insecure: repo.Spec.Insecure}
	var err error
	if spec.Transport, err = connection(ctx, c, repo.Spec.CertSecretRef, nil); err != nil {
		return spec, err
	}
	if err := secret(ctx, c, "spec.keyringSecretRef", repo.Spec.KeyringSecretRef, func(data map[string][]byte) error {
		for _, name := range slices.Sorted(maps.Keys(data)) {
			spec.Keyring = append(spec.Keyring, data[name])
		}
		return nil
	}); err != nil {
		return spec, err
	}
	if repo.Spec.IsOCI() {
		access := registryAccess{Provider: repo.Spec.Provider, Secret: repo.Spec.SecretRef}
		spec.Auth, spec.Login, err = access.read(ctx, c)
		return spec, err
	}
	return spec, secret(ctx, c, "spec.secretRef", repo.Spec.SecretRef, func(data map[string][]byte) (err error) {
		if repo.Spec.CertSecretRef == nil { // where certificates were before they had a field
			if err := transport.TLSFromSecret(data, &spec.Transport); err != nil {
				return err
			}
		}
		spec.Username, spec.Password, err = helmrepo.AuthFromSecret(data)
		return err
	})
}
