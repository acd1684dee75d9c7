package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
)

// include puts what the spec includes of other repositories into a snapshot, and
// gives their artifacts. The ignore rules hold for all of it.
func include(ctx context.Context, c Cluster, repo *sourcev1.GitRepository, own source.Snapshot) (source.Snapshot, []*meta.Artifact, error) {
	if len(repo.Spec.Include) == 0 {
		return own, nil, nil
	}
	mounts := map[string]source.Tree{}
	var artifacts []*meta.Artifact
	for _, in := range repo.Spec.Include {
		tree, artifact, err := included(ctx, c, repo, in)
		if err != nil {
			return source.Snapshot{}, nil, err
		}
		to := folderOf(in.ToPath, in.GitRepositoryRef.Name)
		if _, taken := mounts[to]; taken {
			return source.Snapshot{}, nil, &source.InvalidError{Err: fmt.Errorf("spec.include: two of them go to %s: give one another toPath", to)}
		}
		mounts[to], artifacts = tree, append(artifacts, artifact)
	}
	tree, err := source.Mounted(own.Tree, mounts)
	if err != nil {
		return source.Snapshot{}, nil, fmt.Errorf("spec.include: toPath: %w", err)
	}
	if own.Tree, err = source.Ignored(tree, repo.Spec.Ignore); err != nil {
		return source.Snapshot{}, nil, err
	}
	own.Digest, err = new(source.Digests).Of(own.Tree)
	return own, artifacts, err
}

// included is one folder of another repository, with the artifact in use.
func included(ctx context.Context, c Cluster, repo *sourcev1.GitRepository, in sourcev1.GitRepositoryInclude) (source.Tree, *meta.Artifact, error) {
	name := in.GitRepositoryRef.Name
	on := fmt.Sprintf("%s/%s/%s", sourcev1.GitRepositoryKind, repo.Namespace, name)
	obj, other, err := c.Source(ctx, sourcev1.GitRepositoryKind, name)
	if err != nil {
		return nil, nil, failed(sourcev1.IncludeUnavailableReason, err)
	}
	if includesBack(ctx, c, obj, repo.Name, map[string]bool{}) {
		return nil, nil, &source.InvalidError{Err: fmt.Errorf("spec.include: '%s' includes this GitRepository in turn, so neither would come to rest: remove one of the two", on)}
	}
	if other.Tree == nil || obj.GetArtifact() == nil {
		return nil, nil, &Error{Reason: sourcev1.IncludeUnavailableReason, On: on, Err: fmt.Errorf("spec.include: '%s' has no artifact yet", on)}
	}
	from := folderOf(in.FromPath, ".")
	tree, err := source.Below(other.Tree, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, &Error{Reason: sourcev1.IncludeUnavailableReason, On: on, Err: fmt.Errorf("spec.include: '%s' at revision %s has no folder %s", on, other.Revision, from)}
	}
	return tree, obj.GetArtifact().DeepCopy(), err
}

// includesBack tells whether a repository includes another, directly or not, or is it.
func includesBack(ctx context.Context, c Cluster, obj Object, name string, seen map[string]bool) bool {
	repo, _ := obj.(*sourcev1.GitRepository)
	if repo == nil || seen[repo.Name] {
		return false
	}
	seen[repo.Name] = true
	if repo.Name == name {
		return true
	}
	for _, in := range repo.Spec.Include {
		if in.GitRepositoryRef.Name == name {
			return true
		}
		next, _, err := c.Source(ctx, sourcev1.GitRepositoryKind, in.GitRepositoryRef.Name)
		if err == nil && includesBack(ctx, c, next, name, seen) { // what is not there, that one says itself
			return true
		}
	}
	return false
}

// folderOf is a path of a spec as trees have it.
func folderOf(text, otherwise string) string {
	text = strings.Trim(text, "/")
	if text == "" {
		text = otherwise
	}
	return path.Clean(text)
}
