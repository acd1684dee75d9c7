package oci

import (
	"bytes"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Bounds on what a registry says about an artifact.
const (
	manifestBytes = 4 << 20 // what the distribution specification asks registries to take
	mostLayers    = 10_000
)

// parsed is a manifest: either of an artifact or, with children, an index of
// others. Docker's forms count as OCI's.
type parsed struct {
	image    *v1.Manifest
	children []v1.Descriptor
}

// parse reads a manifest. Whatever the text, the descriptors in the result have a
// valid sha256 digest and a size that is not negative.
func parse(content []byte) (parsed, error) {
	if len(content) > manifestBytes {
		return parsed{}, fmt.Errorf("the manifest has more than %d bytes", manifestBytes)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err == nil && (index.MediaType.IsIndex() || len(index.Manifests) > 0) {
		return parsed{children: index.Manifests}, check(index.Manifests)
	}
	image, err := v1.ParseManifest(bytes.NewReader(content))
	if err != nil {
		return parsed{}, fmt.Errorf("the manifest is no manifest: %w", err)
	}
	if image.MediaType == types.DockerManifestSchema1 || image.MediaType == types.DockerManifestSchema1Signed {
		return parsed{}, fmt.Errorf("the manifest is of Docker's schema 1: push the artifact with a present-day client")
	}
	return parsed{image: image}, check(image.Layers)
}

func check(all []v1.Descriptor) error {
	if len(all) > mostLayers {
		return fmt.Errorf("the manifest names more than %d others", mostLayers)
	}
	for _, d := range all {
		if _, err := parseDigest(d.Digest.String()); err != nil {
			return fmt.Errorf("the manifest: %w", err)
		}
		if d.Size < 0 {
			return fmt.Errorf("the manifest: %s has a negative size", d.Digest)
		}
	}
	return nil
}

// child is the artifact that an index stands for: that for linux/amd64, which is
// where tools put what has no platform, else the first.
func (p parsed) child() (v1.Descriptor, error) {
	if len(p.children) == 0 {
		return v1.Descriptor{}, fmt.Errorf("the index is empty")
	}
	for _, d := range p.children {
		if d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == "amd64" {
			return d, nil
		}
	}
	return p.children[0], nil
}

// choose is the first layer of the selected media type.
func (l LayerSelector) choose(image *v1.Manifest) (v1.Descriptor, error) {
	for _, d := range image.Layers {
		if l.MediaType == "" || string(d.MediaType) == l.MediaType {
			return d, nil
		}
	}
	if len(image.Layers) == 0 {
		return v1.Descriptor{}, invalid("the artifact has no layers: push one with content")
	}
	var have []string
	for _, d := range image.Layers {
		have = append(have, string(d.MediaType))
	}
	slices.Sort(have)
	return v1.Descriptor{}, &LayerError{fmt.Errorf("no layer has the media type %q of layerSelector.mediaType: there are %q", l.MediaType, slices.Compact(have))}
}
