package fetch

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
)

// ociRepositories are OCIRepositories.
type ociRepositories struct{ client *oci.Client }

// GVK implements Kind.
func (ociRepositories) GVK() schema.GroupVersionKind {
	return sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind)
}

// New implements Kind.
func (ociRepositories) New() Object { return &sourcev1.OCIRepository{} }

// Failure implements Kind.
func (ociRepositories) Failure() string { return sourcev1.OCIPullFailedReason }

// Fetch implements Kind.
func (k ociRepositories) Fetch(ctx context.Context, c Cluster, obj Object, last source.Snapshot) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.OCIRepository)
	spec, err := ociSpec(ctx, c, repo)
	if err != nil {
		return source.Snapshot{}, err
	}
	snapshot, _, err := k.client.Fetch(ctx, spec, last.Revision)
	if errors.As(err, new(*oci.LayerError)) {
		return snapshot, failed(sourcev1.OCILayerOperationFailedReason, err)
	}
	return snapshot, badAddress(err)
}

// Open implements Kind.
func (k ociRepositories) Open(ctx context.Context, c Cluster, obj Object) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.OCIRepository)
	spec := ociLocation(repo)
	var err error
	if spec.Verify, err = verification(ctx, c, repo.Spec.Verify); err != nil {
		return source.Snapshot{}, err
	}
	return k.client.Open(spec, repo.Status.Artifact.Revision)
}

// Succeeded implements Kind.
func (ociRepositories) Succeeded(obj Object, s source.Snapshot) (reason, message string) {
	repo, _ := obj.(*sourcev1.OCIRepository)
	repo.Status.ObservedIgnore, repo.Status.ObservedLayerSelector = repo.Spec.Ignore, repo.Spec.LayerSelector
	repo.Status.URL = latest(repo.Status.Artifact)
	return stored(s)
}

// ociLocation is what a spec says by itself, without what it refers to.
func ociLocation(repo *sourcev1.OCIRepository) oci.Spec {
	ref, layer := repo.Spec.GetRef(), repo.Spec.GetLayerSelector()
	return oci.Spec{
		URL:      repo.Spec.URL,
		Ref:      oci.Ref{Digest: ref.Digest, SemVer: ref.SemVer, SemVerFilter: ref.SemverFilter, Tag: ref.Tag},
		Layer:    oci.LayerSelector{MediaType: layer.MediaType, Operation: layer.Operation},
		Ignore:   repo.Spec.Ignore,
		Insecure: repo.Spec.Insecure,
	}
}

func ociSpec(ctx context.Context, c Cluster, repo *sourcev1.OCIRepository) (oci.Spec, error) {
	spec := ociLocation(repo)
	var err error
	if spec.Transport, err = connection(ctx, c, repo.Spec.CertSecretRef, repo.Spec.ProxySecretRef); err != nil {
		return spec, err
	}
	access := registryAccess{Provider: repo.Spec.Provider, Secret: repo.Spec.SecretRef, Account: repo.Spec.ServiceAccountName, Pulls: true}
	if spec.Auth, spec.Login, err = access.read(ctx, c); err != nil {
		return spec, err
	}
	spec.Verify, err = verification(ctx, c, repo.Spec.Verify)
	return spec, err
}

// verification is who has to have signed.
func verification(ctx context.Context, c Cluster, v *sourcev1.OCIRepositoryVerification) (*oci.Verify, error) {
	if v == nil {
		return nil, nil
	}
	out := oci.Verify{Provider: v.Provider}
	if out.Provider == "" {
		out.Provider = sourcev1.VerifyCosign
	}
	err := secret(ctx, c, "spec.verify.secretRef", v.SecretRef, func(data map[string][]byte) (err error) {
		out, err = oci.VerifyFromSecret(out.Provider, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, match := range v.MatchOIDCIdentity {
		out.Identities = append(out.Identities, oci.Identity{Issuer: match.Issuer, Subject: match.Subject})
	}
	err = secret(ctx, c, "spec.verify.trustedRootSecretRef", v.TrustedRootSecretRef, func(data map[string][]byte) (err error) {
		out.TrustRoot, err = oci.TrustRootFromSecret(data)
		return err
	})
	return &out, err
}

// registryAccess is how a spec gets into a registry.
type registryAccess struct {
	Provider string
	Secret   *meta.LocalObjectReference
	Account  string // name of a service account
	Pulls    bool   // use the account's Secrets for pulling images
}

// read gives credentials, or who asks a cloud's provider for some.
func (a registryAccess) read(ctx context.Context, c Cluster) (auth oci.Auth, login *oci.Login, err error) {
	if a.Provider != "" && a.Provider != sourcev1.ProviderGeneric {
		login, err = registryLogin(ctx, c, a.Provider, a.Account)
		return auth, login, err
	}
	err = secret(ctx, c, "spec.secretRef", a.Secret, func(data map[string][]byte) (err error) {
		auth, err = oci.AuthFromSecret(data)
		return err
	})
	if err != nil || a.Account == "" || !a.Pulls {
		return auth, nil, err
	}
	_, pulls, err := c.ServiceAccount(ctx, a.Account)
	if err != nil {
		return auth, nil, accountError(err)
	}
	for _, name := range pulls {
		err := secret(ctx, c, "spec.serviceAccountName", &meta.LocalObjectReference{Name: name}, func(data map[string][]byte) error {
			more, err := oci.AuthFromSecret(data)
			auth.PullSecrets = append(auth.PullSecrets, more.PullSecrets...)
			return err
		})
		if err != nil {
			return auth, nil, err
		}
	}
	return auth, nil, nil
}
