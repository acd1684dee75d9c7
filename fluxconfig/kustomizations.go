package fluxconfig

import (
	"cmp"
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/dag"
)

// longest is what a label's value can have.
const longest = 63

// KustomizationName is the name of the generated Kustomization.
func KustomizationName(fc *clusterconfigv1.FluxConfig, name string) string {
	return fc.Name + "-" + name
}

// order returns the kustomizations, each after those that it depends on.
func order(fc *clusterconfigv1.FluxConfig) ([]clusterconfigv1.KustomizationDefinition, error) {
	g := generation{fc: fc}
	graph := dag.New(cmp.Compare[string])
	byName := make(map[string]clusterconfigv1.KustomizationDefinition, len(fc.Spec.Kustomizations))
	for _, k := range fc.Spec.Kustomizations {
		if _, twice := byName[k.Name]; twice {
			return nil, g.invalid("kustomizations: %s is there twice", k.Name)
		}
		if len(fc.Name)+1+len(k.Name) > longest {
			return nil, g.invalid("the names of the configuration (%d characters) and of kustomization %s (%d), with a hyphen between them, can have %d characters at most",
				len(fc.Name), k.Name, len(k.Name), longest)
		}
		byName[k.Name] = k
		graph.Set(k.Name, k.DependsOn...)
	}
	for _, k := range fc.Spec.Kustomizations {
		if absent := graph.Missing(k.Name); len(absent) > 0 {
			return nil, g.invalid("kustomization %s depends on %s, which this configuration does not have", k.Name, strings.Join(absent, ", "))
		}
	}
	layers, err := graph.Layers()
	if err != nil {
		return nil, g.invalid("kustomizations: %w", err)
	}
	var out []clusterconfigv1.KustomizationDefinition
	for _, layer := range layers {
		for _, name := range layer {
			out = append(out, byName[name])
		}
	}
	return out, nil
}

// kustomization returns a Kustomization, after what it alone refers to.
func (g *generation) kustomization(k clusterconfigv1.KustomizationDefinition, source *unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	out := g.object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", KustomizationName(g.fc, k.Name))
	interval := duration(k.SyncInterval)
	spec := map[string]any{
		"sourceRef":     map[string]any{"kind": source.GetKind(), "name": source.GetName(), "namespace": source.GetNamespace()},
		"interval":      interval,
		"retryInterval": interval,
		"timeout":       duration(k.Timeout),
		"prune":         k.Prune,
		"wait":          k.Wait == nil || *k.Wait,
	}
	if k.RetryInterval != nil {
		spec["retryInterval"] = k.RetryInterval.Duration.String()
	}
	set(spec, "path", k.Path)
	setTrue(spec, "force", k.Force)
	setTrue(spec, "suspend", g.fc.Spec.Suspend)
	if len(k.DependsOn) > 0 {
		needs := make([]any, len(k.DependsOn))
		for i, name := range k.DependsOn {
			needs[i] = map[string]any{"name": KustomizationName(g.fc, name)}
		}
		spec["dependsOn"] = needs
	}
	if build := postBuild(k.PostBuild); len(build) > 0 {
		spec["postBuild"] = build
	}
	before := g.target(k, spec)
	extra, err := decode(k.AdditionalConfigurations)
	if err != nil {
		return nil, g.invalid("kustomization %s: additionalConfigurations: %w", k.Name, err)
	}
	patches, _ := extra["patches"].([]any)
	if patches = append(patches, managedSource(source)...); len(patches) > 0 {
		spec["patches"] = patches
	}
	if err := specify(out, merge(extra, spec)); err != nil {
		return nil, g.invalid("kustomization %s: %w", k.Name, err)
	}
	return append(before, out), nil
}

// target says who applies, and where. On another cluster that is whom the
// identity stands for there: an account of this cluster means nothing to it.
func (g *generation) target(k clusterconfigv1.KustomizationDefinition, spec map[string]any) []*unstructured.Unstructured {
	if k.KubeConfig == nil {
		spec["serviceAccountName"] = Applier
		return nil
	}
	name := KustomizationName(g.fc, k.Name) + "-cluster"
	kept := g.beside
	g.beside = nil
	account := g.identity(&k.KubeConfig.ObjectLevelIdentity, name)
	out := g.beside
	g.beside = kept
	reach := g.object("v1", "ConfigMap", name)
	reach.Object["data"] = map[string]any{"provider": "azure", "cluster": k.KubeConfig.ClusterResourceID, "serviceAccountName": account}
	spec["kubeConfig"] = map[string]any{"configMapRef": map[string]any{"name": name}}
	return append(out, reach)
}

func postBuild(p *clusterconfigv1.PostBuild) map[string]any {
	out := map[string]any{}
	if p == nil {
		return out
	}
	if len(p.Substitute) > 0 {
		values := make(map[string]any, len(p.Substitute))
		for name, value := range p.Substitute {
			values[name] = value
		}
		out["substitute"] = values
	}
	var from []any
	for _, s := range p.SubstituteFrom {
		one := map[string]any{"kind": s.Kind, "name": s.Name}
		setTrue(one, "optional", s.Optional)
		from = append(from, one)
	}
	if from != nil {
		out["substituteFrom"] = from
	}
	return out
}

// managedSource gives HelmReleases that ask for it the source of the
// configuration for their chart, where that is a kind which charts can come from.
func managedSource(source *unstructured.Unstructured) []any {
	if source.GetKind() == clusterconfigv1.OCIRepositorySource {
		return nil
	}
	ref := map[string]any{"kind": source.GetKind(), "name": source.GetName(), "namespace": source.GetNamespace()}
	patch, err := json.Marshal([]any{map[string]any{"op": "add", "path": "/spec/chart/spec/sourceRef", "value": ref}})
	if err != nil {
		panic(err) // strings always encode
	}
	return []any{map[string]any{
		"patch": string(patch),
		"target": map[string]any{
			"group": "helm.toolkit.fluxcd.io", "kind": "HelmRelease",
			"annotationSelector": clusterconfigv1.ManagedSourceAnnotation + "=true",
		},
	}}
}
