package fetch

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/runtime/schema"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/git"
	"github.com/plumb-gitops/plumb/source/transport"
)

// gitRepositories are GitRepositories.
type gitRepositories struct {
	store  *git.Store
	logins *logins
}

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
	spec, err := k.spec(ctx, c, repo)
	if err != nil {
		return source.Snapshot{}, err
	}
	snapshot, _, err := k.store.Fetch(ctx, spec, last.Revision)
	if err != nil {
		return source.Snapshot{}, badAddress(err)
	}
	snapshot, repo.Status.IncludedArtifacts, err = include(ctx, c, repo, snapshot)
	return snapshot, err
}

// Open implements Kind.
func (k gitRepositories) Open(ctx context.Context, c Cluster, obj Object) (source.Snapshot, error) {
	repo, _ := obj.(*sourcev1.GitRepository)
	spec := gitLocation(repo)
	var err error
	if spec.Verify, err = gitVerify(ctx, c, repo); err != nil {
		return source.Snapshot{}, err
	}
	snapshot, err := k.store.Open(spec, repo.Status.Artifact.Revision)
	if err != nil {
		return source.Snapshot{}, err
	}
	snapshot, _, err = include(ctx, c, repo, snapshot)
	return snapshot, err
}

// Succeeded implements Kind.
func (gitRepositories) Succeeded(obj Object, s source.Snapshot) (reason, message string) {
	repo, _ := obj.(*sourcev1.GitRepository)
	repo.Status.ObservedIgnore = repo.Spec.Ignore
	repo.Status.ObservedRecurseSubmodules = repo.Spec.RecurseSubmodules
	repo.Status.ObservedInclude = repo.Spec.Include
	repo.Status.ObservedSparseCheckout = repo.Spec.SparseCheckout
	repo.Status.SourceVerificationMode = nil
	if repo.Spec.Verification != nil {
		mode := git.VerifyMode(repo.Spec.Verification.Mode)
		repo.Status.SourceVerificationMode = &mode
	}
	return stored(s)
}

// gitLocation is what a spec says by itself, without what it refers to.
func gitLocation(repo *sourcev1.GitRepository) git.Spec {
	ref := repo.Spec.GetRef()
	return git.Spec{
		URL:        repo.Spec.URL,
		Ref:        git.Ref{Branch: ref.Branch, Tag: ref.Tag, SemVer: ref.SemVer, Name: ref.Name, Commit: ref.Commit},
		Ignore:     repo.Spec.Ignore,
		Sparse:     repo.Spec.SparseCheckout,
		Submodules: repo.Spec.RecurseSubmodules,
		Owner:      gitOwner(repo.Namespace, repo.Name),
	}
}

// gitOwner is for whom something is fetched.
func gitOwner(namespace, name string) string { return namespace + "/" + name }

// spec is all that a spec says, with what it refers to.
func (k gitRepositories) spec(ctx context.Context, c Cluster, repo *sourcev1.GitRepository) (git.Spec, error) {
	spec := gitLocation(repo)
	var held map[string][]byte
	err := secret(ctx, c, "spec.secretRef", repo.Spec.SecretRef, func(data map[string][]byte) (err error) {
		held = data
		if usesSecret(repo, data) {
			if spec.Auth, err = git.AuthFromSecret(data); err != nil {
				return err
			}
		}
		return transport.TLSFromSecret(data, &spec.Transport)
	})
	if err != nil {
		return spec, err
	}
	err = secret(ctx, c, "spec.proxySecretRef", repo.Spec.ProxySecretRef, func(data map[string][]byte) (err error) {
		spec.Transport.Proxy, err = transport.ProxyFromSecret(data)
		return err
	})
	if err != nil {
		return spec, err
	}
	if spec.Login, err = k.logins.gitLogin(ctx, c, repo, held, spec.Transport); err != nil {
		return spec, err
	}
	spec.Verify, err = gitVerify(ctx, c, repo)
	return spec, err
}

// usesSecret tells whether the Secret holds the credentials for the server: not where
// a provider gives them.
func usesSecret(repo *sourcev1.GitRepository, data map[string][]byte) bool {
	return (repo.Spec.Provider == "" || repo.Spec.Provider == sourcev1.ProviderGeneric) && len(data["githubAppID"]) == 0
}

// gitVerify is who has to have signed, nil for nobody.
func gitVerify(ctx context.Context, c Cluster, repo *sourcev1.GitRepository) (v *git.Verify, err error) {
	if repo.Spec.Verification == nil {
		return nil, nil
	}
	ref := repo.Spec.Verification.SecretRef
	if ref.Name == "" {
		return nil, &source.InvalidError{Err: errors.New("spec.verify needs secretRef.name, the Secret with the public keys that are trusted")}
	}
	err = secret(ctx, c, "spec.verify.secretRef", &ref, func(data map[string][]byte) (err error) {
		v, err = git.VerifyFromSecret(repo.Spec.Verification.Mode, data)
		return err
	})
	return v, err
}
