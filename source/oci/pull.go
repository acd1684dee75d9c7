package oci

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Artifact is what Pull brings.
type Artifact struct {
	Revision    string // as in source.Snapshot
	Digest      string // of the manifest, "sha256:<hex>"
	Annotations map[string]string
	Config      []byte // the artifact's configuration; of a Helm chart its metadata as JSON
	Layers      []Layer
	Verified    string // as in source.Snapshot
}

// Layer is the content of a layer, in the store.
type Layer struct {
	store.Blob
	MediaType string
}

// Layer is the first layer of a media type.
func (a Artifact) Layer(mediaType string) (Layer, bool) {
	i := slices.IndexFunc(a.Layers, func(l Layer) bool { return l.MediaType == mediaType })
	if i < 0 {
		return Layer{}, false
	}
	return a.Layers[i], true
}

// Tags are all tags of the repository, in the registry's order. Errors are those
// of Fetch.
func (c *Client) Tags(ctx context.Context, s Spec) ([]string, error) {
	tags, err := again(ctx, func() ([]string, error) {
		r, err := c.repository(s)
		if err != nil {
			return nil, err
		}
		tags, err := r.tags(ctx)
		return tags, c.failed(r, err)
	})
	if err != nil {
		return nil, classified(ctx, transport.Redacted(s.URL), err)
	}
	return tags, nil
}

// Pull brings those layers of an artifact into a batch that have one of the media
// types. The first of these is a must. What the store has is not downloaded again.
// s.Verify is heeded; s.Layer and s.Ignore are not. Errors are those of Fetch.
func (c *Client) Pull(ctx context.Context, b *store.Batch, s Spec, ref Ref, mediaTypes ...string) (Artifact, error) {
	found, err := again(ctx, func() (Artifact, error) { return c.pull(ctx, b, s, ref, mediaTypes) })
	if err != nil {
		return Artifact{}, classified(ctx, transport.Redacted(s.URL), err)
	}
	return found, nil
}

func (c *Client) pull(ctx context.Context, b *store.Batch, s Spec, ref Ref, mediaTypes []string) (Artifact, error) {
	r, err := c.repository(s)
	if err != nil {
		return Artifact{}, err
	}
	v, err := r.resolve(ctx, ref, "")
	if err != nil {
		return Artifact{}, c.failed(r, err)
	}
	done, err := c.wait(ctx, r.key+v.digest.String())
	if err != nil {
		return Artifact{}, err
	}
	defer done()
	verified, err := c.verified(ctx, r, s.Verify, v.digest)
	if err != nil {
		return Artifact{}, c.failed(r, err)
	}
	found, err := c.layers(ctx, b, r, v, mediaTypes)
	found.Verified = verified
	return found, c.failed(r, err)
}

// layers brings the layers of an artifact.
func (c *Client) layers(ctx context.Context, b *store.Batch, r *repository, v version, mediaTypes []string) (Artifact, error) {
	image, err := c.image(ctx, r, v.digest)
	if err != nil {
		return Artifact{}, err
	}
	if len(mediaTypes) > 0 {
		if _, err := (LayerSelector{MediaType: mediaTypes[0]}).choose(image); err != nil {
			return Artifact{}, err
		}
	}
	found := Artifact{Revision: v.revision(), Digest: v.digest.String(), Annotations: image.Annotations}
	if found.Config, err = c.document(ctx, b, r, image.Config); err != nil {
		return Artifact{}, err
	}
	for _, d := range image.Layers {
		if !slices.Contains(mediaTypes, string(d.MediaType)) {
			continue
		}
		if most := c.options.Limits.ArchiveBytes; most > 0 && d.Size > most {
			return Artifact{}, c.options.Limits.ArchiveTooLarge("the layer " + d.Digest.String())
		}
		blob, err := c.download(ctx, b, r, d)
		if err != nil {
			return Artifact{}, fmt.Errorf("layer %s (%s): %w", d.Digest, d.MediaType, err)
		}
		found.Layers = append(found.Layers, Layer{blob, string(d.MediaType)})
	}
	return found, nil
}

// document brings a small blob into memory.
func (c *Client) document(ctx context.Context, b *store.Batch, r *repository, d v1.Descriptor) ([]byte, error) {
	if _, err := parseDigest(d.Digest.String()); err != nil || d.Size > manifestBytes {
		return nil, fmt.Errorf("the configuration %s is not one, or has more than %d bytes", d.Digest, manifestBytes)
	}
	blob, err := c.download(ctx, b, r, d)
	if err != nil {
		return nil, err
	}
	return c.store.Read(blob.Hash)
}
