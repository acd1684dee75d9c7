// Package postrender changes what a chart renders, as spec.postRenderers and
// spec.commonMetadata of a HelmRelease say: with the build that Kustomizations have,
// in memory. spec.postRenderStrategy tells what becomes of hooks: hooks.go.
package postrender

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/source"
)

// Renderer applies its steps one after the other.
type Renderer struct {
	// Strategy is what becomes of hooks, one of the constants of helmv2.
	Strategy string

	ctx   context.Context
	steps []build.Spec
}

// New is the post renderer of a release; nil when there is nothing to change. It ends
// with ctx.
func New(ctx context.Context, hr *helmv2.HelmRelease) *Renderer {
	r := &Renderer{ctx: ctx, Strategy: cmp.Or(hr.Spec.PostRenderStrategy, helmv2.PostRenderCombined)}
	for _, step := range hr.Spec.PostRenderers {
		if step.Kustomize != nil {
			r.steps = append(r.steps, specOf(step.Kustomize))
		}
	}
	if m := hr.Spec.CommonMetadata; m != nil {
		r.steps = append(r.steps, build.Spec{CommonMetadata: build.Metadata{Labels: m.Labels, Annotations: m.Annotations}})
	}
	if len(r.steps) == 0 {
		return nil
	}
	return r
}

// Run implements the SDK's PostRenderer: it changes a stream of objects, whatever they
// are.
func (r *Renderer) Run(manifest *bytes.Buffer) (*bytes.Buffer, error) {
	for _, step := range r.steps {
		if len(bytes.TrimSpace(manifest.Bytes())) == 0 {
			return manifest, nil // a chart of hooks alone
		}
		result, err := build.Kustomization(r.ctx, source.MemoryTree{"manifest.yaml": manifest.String()}, step)
		if err != nil {
			return nil, fmt.Errorf("spec.postRenderers: %w", err)
		}
		manifest = &bytes.Buffer{}
		for _, obj := range result.Objects {
			raw, err := yaml.Marshal(obj.Object)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(manifest, "---\n%s", raw)
		}
	}
	return manifest, nil
}

// specOf is a step in the words of package build. The older forms of patches come
// first.
func specOf(k *helmv2.Kustomize) build.Spec {
	spec := build.Spec{}
	for _, patch := range k.PatchesStrategicMerge {
		spec.Patches = append(spec.Patches, kustomize.Patch{Patch: string(patch.Raw)})
	}
	for _, patch := range k.PatchesJSON6902 {
		text, _ := json.Marshal(patch.Patch) // came from JSON
		spec.Patches = append(spec.Patches, kustomize.Patch{Patch: string(text), Target: selector(&patch.Target)})
	}
	for _, patch := range k.Patches {
		spec.Patches = append(spec.Patches, kustomize.Patch{Patch: patch.Patch, Target: selector(patch.Target)})
	}
	for _, image := range k.Images {
		spec.Images = append(spec.Images, kustomize.Image{Name: image.Name, NewName: image.NewName, NewTag: image.NewTag, Digest: image.Digest})
	}
	return spec
}

func selector(s *kustomizev1.Selector) *kustomize.Selector {
	if s == nil {
		return nil
	}
	return &kustomize.Selector{
		ResId:              resid.ResId{Gvk: resid.Gvk{Group: s.Group, Version: s.Version, Kind: s.Kind}, Name: s.Name, Namespace: s.Namespace},
		AnnotationSelector: s.AnnotationSelector,
		LabelSelector:      s.LabelSelector,
	}
}
