package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/build/decrypt"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
)

// recipe is what a spec says, in the words of the packages that act on it.
type recipe struct {
	build  build.Spec
	ignore *drift.Ignores
	checks *health.Checks
}

// read makes the recipe of a unit. What is wrong in a spec only another spec can
// mend.
func (e *Engine) read(p *pass) (err error) {
	spec := p.object.Spec
	if p.recipe = p.unit.recipeFor(inputsOf(p)); p.recipe != nil {
		return nil
	}
	r := &recipe{}
	r.build, err = BuildSpec(p.object, BuildInputs{
		Variables: p.references.variables, Decryption: p.references.decryption, Cloud: p.references.cloud,
		RemoteBases: e.RemoteBases, Strict: e.StrictSubstitution,
	})
	var errs []error
	errs = append(errs, err)
	r.ignore, err = drift.CompileIgnores(ignoreRules(spec.Ignore))
	errs = append(errs, prefixed("spec.", err))
	r.checks, err = health.Compile(expressions(spec.HealthCheckExprs))
	errs = append(errs, prefixed("spec.", err))
	if err := errors.Join(errs...); err != nil {
		return fail(kustomizev1.BuildFailedReason, Stall, err)
	}
	p.recipe = r
	p.unit.keepRecipe(r, inputsOf(p))
	return nil
}

func prefixed(prefix string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s%w", prefix, err)
}

// BuildInputs are what a build depends on beside the spec and the source.
type BuildInputs struct {
	Variables   map[string]string // all of spec.postBuild, with what it refers to
	Decryption  map[string][]byte // the data of the Secret in spec.decryption
	Cloud       decrypt.Cloud     // the identity of spec.decryption.serviceAccountName
	RemoteBases bool              // may kustomizations load bases from elsewhere
	Strict      bool              // is a variable that is not defined an error
}

// BuildSpec is the part of a Kustomization that is about building, in the words of
// package build. The error says which field cannot be meant like this.
func BuildSpec(k *kustomizev1.Kustomization, in BuildInputs) (build.Spec, error) {
	spec := k.Spec
	b := build.Spec{
		Path:                    spec.Path,
		TargetNamespace:         spec.TargetNamespace,
		NamePrefix:              spec.NamePrefix,
		NameSuffix:              spec.NameSuffix,
		Components:              spec.Components,
		IgnoreMissingComponents: spec.IgnoreMissingComponents,
		RemoteBases:             in.RemoteBases,
	}
	b.Patches = olderPatches(spec)
	for _, patch := range spec.Patches {
		b.Patches = append(b.Patches, kustomize.Patch{Patch: patch.Patch, Target: selector(patch.Target)})
	}
	for _, image := range spec.Images {
		b.Images = append(b.Images, kustomize.Image{Name: image.Name, NewName: image.NewName, NewTag: image.NewTag, Digest: image.Digest})
	}
	for _, option := range spec.BuildMetadata {
		b.BuildMetadata = append(b.BuildMetadata, string(option))
	}
	if m := spec.CommonMetadata; m != nil {
		b.CommonMetadata = build.Metadata{Labels: m.Labels, Annotations: m.Annotations}
	}
	b.Substitution = substitution(spec.PostBuild, in)
	return b, decryption(&b, k, in)
}

// olderPatches are the patches in the form of v1beta1 and v1beta2.
func olderPatches(spec kustomizev1.KustomizationSpec) []kustomize.Patch {
	var patches []kustomize.Patch
	for _, patch := range spec.PatchesStrategicMerge {
		patches = append(patches, kustomize.Patch{Patch: string(patch.Raw)})
	}
	for _, patch := range spec.PatchesJSON6902 {
		patches = append(patches, kustomize.Patch{Patch: string(asJSON(patch.Patch)), Target: selector(&patch.Target)})
	}
	return patches
}

// substitution is what to substitute: nothing without variables, unless the spec
// says always.
func substitution(post *kustomizev1.PostBuild, in BuildInputs) build.Substitution {
	s := build.Substitution{Lenient: !in.Strict}
	if post == nil || len(in.Variables) == 0 && post.SubstituteStrategy != kustomizev1.SubstituteAlways {
		return s
	}
	s.Variables = maps.Clone(in.Variables)
	if s.Variables == nil {
		s.Variables = map[string]string{}
	}
	return s
}

func decryption(b *build.Spec, k *kustomizev1.Kustomization, in BuildInputs) error {
	d := k.Spec.Decryption
	if d == nil {
		return nil
	}
	keys, err := decrypt.FromSecret(in.Decryption)
	if err != nil {
		return fmt.Errorf("spec.decryption.secretRef: Secret/%s/%s: %w", k.Namespace, d.SecretRef.Name, err)
	}
	b.Decrypt = keys.As(in.Cloud)
	return nil
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

func ignoreRules(rules []kustomizev1.IgnoreRule) []drift.IgnoreRule {
	out := make([]drift.IgnoreRule, len(rules))
	for i, rule := range rules {
		out[i].Paths = rule.Paths
		if t := rule.Target; t != nil {
			target := drift.Selector(*t)
			out[i].Target = &target
		}
	}
	return out
}

func expressions(checks []kustomizev1.CustomHealthCheck) []health.Expressions {
	out := make([]health.Expressions, len(checks))
	for i, c := range checks {
		out[i] = health.Expressions(c)
	}
	return out
}

// judge has the live view judge the unit's objects as its spec says. Those that
// are in the view already are looked at once more when that changes.
func (e *Engine) judge(ctx context.Context, p *pass) {
	p.target.view.Judge(p.unit.user(), p.recipe.checks)
	if !p.unit.judgedAnew(p.object.Generation) || p.recipe.checks.Empty() {
		return
	}
	for _, key := range p.unit.keys {
		if !p.recipe.checks.Covers(key.GVK()) {
			continue
		}
		obj, err := p.target.cluster.Get(ctx, key)
		if err != nil {
			continue // it is on its way, or gone: the view will hear of it
		}
		p.target.view.Observe(kustomizev1.KustomizationKind, obj)
	}
}

// readiness compiles the expressions by which a unit judges those that it depends
// on.
func readiness(k *kustomizev1.Kustomization) (map[types.NamespacedName]*health.Readiness, error) {
	out := map[types.NamespacedName]*health.Readiness{}
	for i, d := range k.Spec.DependsOn {
		if d.ReadyExpr == "" {
			continue
		}
		compiled, err := health.CompileReadiness(d.ReadyExpr)
		if err != nil {
			return nil, fmt.Errorf("spec.dependsOn[%d].%w", i, err)
		}
		out[types.NamespacedName{Namespace: cmp.Or(d.Namespace, k.Namespace), Name: d.Name}] = compiled
	}
	return out, nil
}

// asMap is an object in the form of its JSON, for expressions.
func asMap(k *kustomizev1.Kustomization) map[string]any {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(k)
	if err != nil {
		return map[string]any{} // our own type always converts
	}
	return fields
}

// request is what a unit wants on its cluster.
func (e *Engine) request(p *pass) apply.Request {
	return apply.Request{
		Unit:        p.unit.user(),
		Objects:     p.set.Objects,
		Kept:        p.kept,
		Force:       p.object.Spec.Force,
		Written:     p.unit.written(e.now()),
		Inventory:   p.inventory,
		Ignore:      p.recipe.ignore,
		Rules:       e.DriftRules,
		Explain:     e.DryRun,
		Leads:       !e.DryRun,
		ReportDrift: p.object.Annotations[kustomizev1.DriftAnnotation] == kustomizev1.DriftWarn,
	}
}
