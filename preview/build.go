package preview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/source"
)

// Unit is one Kustomization or HelmRelease and what it builds.
type Unit struct {
	Kind    string // "" for a Kustomization
	Name    string // namespace/name
	Objects []*unstructured.Unstructured
	Hooks   []*unstructured.Unstructured // what runs around a release, and is no part of it
	Err     error                        // why it cannot be built
}

// Options of a preview.
type Options struct {
	// Objects stand for what is in the cluster: Secrets and ConfigMaps that specs
	// refer to. What units build is found as well.
	Objects     []*unstructured.Unstructured
	RemoteBases bool
	Strict      bool
	// Releases has HelmReleases rendered; nil leaves them as objects.
	Releases *Releases
}

// ID is Kind/namespace/name.
func (u Unit) ID() string { return cmp.Or(u.Kind, kustomizev1.KustomizationKind) + "/" + u.Name }

// Build builds units out of a tree, and the Kustomizations among what they build
// that have the same source, one after the other. Those with another source are
// not in the tree, and only objects of their own. The error is that of an object
// that is no Kustomization. HelmReleases come after all Kustomizations; those whose
// chart is in another source than the tree, or a repository of charts, are only
// objects as well.
func Build(ctx context.Context, tree source.Tree, first []*unstructured.Unstructured, o Options) (units []Unit, err error) {
	known := slices.Clone(o.Objects)
	queue, err := kustomizations(first)
	if err != nil {
		return nil, err
	}
	here := map[kustomizev1.CrossNamespaceSourceReference]bool{}
	for _, k := range queue {
		here[sourceOf(k)] = true
	}
	seen := map[string]bool{}
	for len(queue) > 0 {
		k := queue[0]
		queue = queue[1:]
		name := k.Namespace + "/" + k.Name
		if seen[name] {
			continue
		}
		seen[name] = true
		u := Unit{Name: name}
		u.Objects, u.Err = one(ctx, tree, k, known, o)
		units = append(units, u)
		known = append(known, u.Objects...)
		nested, err := kustomizations(u.Objects)
		if err != nil {
			return nil, err
		}
		for _, n := range nested {
			if here[sourceOf(n)] {
				queue = append(queue, n)
			}
		}
	}
	if o.Releases == nil {
		return units, nil
	}
	r := &renderer{Releases: *o.Releases, tree: tree, here: here, known: known}
	defer func() { err = errors.Join(err, r.close()) }()
	releases, err := r.releases(ctx, known)
	return append(units, releases...), err
}

// one builds a unit.
func one(ctx context.Context, tree source.Tree, k *kustomizev1.Kustomization, known []*unstructured.Unstructured, o Options) ([]*unstructured.Unstructured, error) {
	in := engine.BuildInputs{RemoteBases: o.RemoteBases, Strict: o.Strict}
	var err error
	if d := k.Spec.Decryption; d != nil && d.SecretRef != nil {
		if in.Decryption, err = find(known, "Secret", k.Namespace, d.SecretRef.Name); err != nil {
			return nil, fmt.Errorf("spec.decryption.secretRef: %w", err)
		}
	}
	if in.Variables, err = variables(k, known); err != nil {
		return nil, err
	}
	spec, err := engine.BuildSpec(k, in)
	if err != nil {
		return nil, err
	}
	result, err := build.Kustomization(ctx, tree, spec)
	return result.Objects, err
}

func variables(k *kustomizev1.Kustomization, known []*unstructured.Unstructured) (map[string]string, error) {
	if k.Spec.PostBuild == nil {
		return nil, nil
	}
	out := map[string]string{}
	for i, ref := range k.Spec.PostBuild.SubstituteFrom {
		data, err := find(known, ref.Kind, k.Namespace, ref.Name)
		if err != nil && !ref.Optional {
			return nil, fmt.Errorf("spec.postBuild.substituteFrom[%d]: %w", i, err)
		}
		for name, value := range data {
			out[name] = string(value)
		}
	}
	maps.Copy(out, k.Spec.PostBuild.Substitute)
	return out, nil
}

// find is the data of a Secret or ConfigMap among objects.
func find(known []*unstructured.Unstructured, kind, namespace, name string) (map[string][]byte, error) {
	for _, obj := range known {
		if obj.GetKind() != kind || obj.GetName() != name || obj.GetNamespace() != namespace && obj.GetNamespace() != "" {
			continue
		}
		content := struct {
			Data       map[string]any    `json:"data"`
			StringData map[string]string `json:"stringData"`
		}{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &content); err != nil {
			return nil, fmt.Errorf("%s/%s/%s cannot be read", kind, namespace, name)
		}
		return dataOf(kind, content.Data, content.StringData)
	}
	return nil, fmt.Errorf("%s/%s/%s is not among what was built: give it with --with FILE", kind, namespace, name)
}

func kustomizations(objs []*unstructured.Unstructured) ([]*kustomizev1.Kustomization, error) {
	var out []*kustomizev1.Kustomization
	for _, obj := range objs {
		if obj.GroupVersionKind().GroupKind() != kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind).GroupKind() {
			continue
		}
		k := &kustomizev1.Kustomization{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, k); err != nil {
			return nil, fmt.Errorf("Kustomization/%s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
		}
		out = append(out, k)
	}
	return out, nil
}

// sourceOf is the source of a unit in full.
func sourceOf(k *kustomizev1.Kustomization) kustomizev1.CrossNamespaceSourceReference {
	name := k.GetSource()
	return kustomizev1.CrossNamespaceSourceReference{Kind: k.Spec.SourceRef.Kind, Name: name.Name, Namespace: name.Namespace}
}
