package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	registry "github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/plumb-gitops/plumb/source/transport"
)

// repository is a repository, reached by a session.
type repository struct {
	name    name.Repository
	session *session
	key     string
}

// resolve finds out what a reference means now.
func (r *repository) resolve(ctx context.Context, ref Ref, last string) (version, error) {
	if ref.Digest != "" {
		digest, err := parseDigest(ref.Digest)
		if err != nil {
			return version{}, err
		}
		if v := (version{digest: digest}); v.revision() == last {
			return v, nil // it always means the same, and the caller was let in before
		}
		return version{digest: digest}, r.has(ctx, digest)
	}
	tag := ref.Tag
	if ref.SemVer != "" {
		tags, err := r.tags(ctx)
		if err != nil {
			return version{}, err
		}
		if tag, err = highest(tags, ref.SemVer, ref.SemVerFilter); err != nil {
			return version{}, err
		}
	}
	if tag == "" {
		tag = name.DefaultTag
	}
	digest, err := r.lookup(ctx, tag)
	return version{tag, digest}, err
}

// lookup is where a tag leads.
func (r *repository) lookup(ctx context.Context, tag string) (v1.Hash, error) {
	if !tagName.MatchString(tag) {
		return v1.Hash{}, invalid("%q can't be a tag", tag)
	}
	found, err := r.session.puller.Head(ctx, r.name.Tag(tag))
	if err != nil && ctx.Err() == nil && status(err) == 0 && transport.Describe(err) == "" {
		// The registry tells no digest: then it is that of what it sends.
		got, err := r.session.puller.Get(ctx, r.name.Tag(tag))
		if err != nil {
			return v1.Hash{}, err
		}
		return got.Digest, nil
	}
	if status(err) == http.StatusNotFound {
		return v1.Hash{}, notFound(fmt.Sprintf("there is no tag %s", tag))
	}
	if err != nil {
		return v1.Hash{}, err
	}
	return parseDigest(found.Digest.String())
}

// has asks whether the repository has a manifest, and lets us see it.
func (r *repository) has(ctx context.Context, digest v1.Hash) error {
	_, err := r.session.puller.Head(ctx, r.name.Digest(digest.String()))
	if status(err) == http.StatusNotFound {
		return notFound(fmt.Sprintf("there is no artifact with digest %s", digest))
	}
	return err
}

// mostTags bounds what a registry may list.
const mostTags = 200_000

// tags are all tags of the repository, in the registry's order.
func (r *repository) tags(ctx context.Context) ([]string, error) {
	pages, err := r.session.puller.Lister(ctx, r.name)
	if status(err) == http.StatusNotFound {
		return nil, notFound("there is no such repository")
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for pages.HasNext() {
		page, err := pages.Next(ctx)
		if err != nil {
			return nil, err
		}
		if all = append(all, page.Tags...); len(all) > mostTags {
			return nil, fmt.Errorf("the repository has more than %d tags", mostTags)
		}
	}
	return all, nil
}

// manifest downloads a manifest; the library holds it to the digest.
func (r *repository) manifest(ctx context.Context, digest v1.Hash) ([]byte, error) {
	got, err := r.session.puller.Get(ctx, r.name.Digest(digest.String()))
	if err != nil {
		return nil, err
	}
	return got.Manifest, nil
}

// blob opens the content of a descriptor, which is checked against it: the end
// is reached only if all is as it should be.
func (r *repository) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	layer, err := r.session.puller.Layer(ctx, r.name.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	body, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	return newChecked(body, d), nil
}

// read brings a small blob into memory.
func (r *repository) read(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if d.Size > manifestBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", d.Digest, manifestBytes)
	}
	body, err := r.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// referrers are the manifests that say they belong to a digest, by the referrers
// API or, where the registry has none, by the tag that stands for it.
func (r *repository) referrers(ctx context.Context, digest v1.Hash) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(r.name.Digest(digest.String()), remote.Reuse(r.session.puller), remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	found, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	return found.Manifests, check(found.Manifests)
}

// attached is the first layer of a referrer, and what describes it.
func (r *repository) attached(ctx context.Context, referrer v1.Descriptor) ([]byte, v1.Descriptor, error) {
	content, err := r.manifest(ctx, referrer.Digest)
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	p, err := parse(content)
	if err != nil || p.image == nil || len(p.image.Layers) == 0 {
		return nil, v1.Descriptor{}, errNotASignature
	}
	blob, err := r.read(ctx, p.image.Layers[0])
	return blob, p.image.Layers[0], err
}

// status of an answer that made an error, 0 when there was none.
func status(err error) int {
	if answer, ok := errors.AsType[*registry.Error](err); ok {
		return answer.StatusCode
	}
	return 0
}
