package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// Replace turns a plan of creation into one that makes a configuration that is
// there into the same. What it takes away is a doubt where that deletes anything.
// Of one that is not there the protected parameters may be left.
func Replace(have Have, plan *Plan) error {
	for key := range have.Protected {
		if _, stays := plan.Protected[key]; !stays {
			plan.Protected[key] = nil
		}
	}
	if have.Object == nil {
		return nil
	}
	was, will := have.Object, plan.Object
	if was.Spec.Scope != will.Spec.Scope {
		return fmt.Errorf("FluxConfig/%s/%s is there already with the scope %s, which can't be changed: give --scope %s, or delete it first",
			was.Namespace, was.Name, was.Spec.Scope, was.Spec.Scope)
	}
	from, err := fields(was)
	if err != nil {
		return err
	}
	to, err := fields(will)
	if err != nil {
		return err
	}
	plan.Patch = map[string]any{"spec": difference(from, to)}
	for _, k := range was.Spec.Kustomizations {
		gone := !slices.ContainsFunc(will.Spec.Kustomizations, func(other clusterconfigv1.KustomizationDefinition) bool { return other.Name == k.Name })
		if gone && k.Prune {
			plan.Doubts = append(plan.Doubts, Loss(was, k.Name))
		}
	}
	if was.Spec.SourceKind != will.Spec.SourceKind {
		plan.Doubts = append(plan.Doubts, fmt.Sprintf("the source of %s/%s becomes another one: %s instead of %s", was.Namespace, was.Name, will.Spec.SourceKind, was.Spec.SourceKind))
	}
	return nil
}

// Loss says what goes with kustomizations that prune.
func Loss(fc *clusterconfigv1.FluxConfig, names ...string) string {
	noun := "kustomization"
	if len(names) > 1 {
		noun += "s"
	}
	return fmt.Sprintf("what %s %s of %s/%s applied is deleted from the cluster", noun, strings.Join(names, ", "), fc.Namespace, fc.Name)
}

// Pruning are the names of the kustomizations that delete what they applied when
// they go.
func Pruning(fc *clusterconfigv1.FluxConfig) (names []string) {
	for _, k := range fc.Spec.Kustomizations {
		if k.Prune {
			names = append(names, k.Name)
		}
	}
	return names
}

// AddKustomization adds one that is not there yet.
func AddKustomization(have Have, e Entry) (*Plan, error) {
	if _, there := find(have.Object, e.Name); there {
		return nil, fmt.Errorf("FluxConfig/%s/%s has a kustomization %s already: see plumb config kustomization update", have.Object.Namespace, have.Object.Name, e.Name)
	}
	return edit(have, func(list []any) []any { return merged(list, []Entry{e}) })
}

// ChangeKustomization changes one that is there.
func ChangeKustomization(have Have, e Entry) (*Plan, error) {
	if _, err := FindKustomization(have.Object, e.Name); err != nil {
		return nil, err
	}
	if len(e.Patch) < 2 { // the name is one
		return nil, errors.New("give at least one flag that changes something, such as --path or --prune")
	}
	return edit(have, func(list []any) []any { return merged(list, []Entry{e}) })
}

// RemoveKustomization takes one away.
func RemoveKustomization(have Have, name string) (*Plan, error) {
	k, err := FindKustomization(have.Object, name)
	if err != nil {
		return nil, err
	}
	plan, err := edit(have, func(list []any) []any { i := at(list, name); return slices.Delete(list, i, i+1) })
	if err != nil {
		return nil, err
	}
	plan.Doubts = append(plan.Doubts, fmt.Sprintf("kustomization %s leaves %s/%s", name, have.Object.Namespace, have.Object.Name))
	if k.Prune {
		plan.Doubts = append(plan.Doubts, Loss(have.Object, name))
	}
	return plan, nil
}

// edit changes the list of kustomizations.
func edit(have Have, to func([]any) []any) (*Plan, error) {
	current, err := fields(have.Object)
	if err != nil {
		return nil, err
	}
	list, _ := current["kustomizations"].([]any)
	c := &change{spec: map[string]any{"kustomizations": to(list)}, kind: kindOf(func(k kind) bool { return k.source == have.Object.Spec.SourceKind })}
	plan := &Plan{}
	return plan, c.finish(plan, have, current, nil)
}

func find(fc *clusterconfigv1.FluxConfig, name string) (clusterconfigv1.KustomizationDefinition, bool) {
	for _, k := range fc.Spec.Kustomizations {
		if k.Name == name {
			return k, true
		}
	}
	return clusterconfigv1.KustomizationDefinition{}, false
}

// FindKustomization is the kustomization of a name. The error names those that
// there are.
func FindKustomization(fc *clusterconfigv1.FluxConfig, name string) (clusterconfigv1.KustomizationDefinition, error) {
	if k, there := find(fc, name); there {
		return k, nil
	}
	var names []string
	for _, k := range fc.Spec.Kustomizations {
		names = append(names, k.Name)
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return clusterconfigv1.KustomizationDefinition{}, fmt.Errorf("FluxConfig/%s/%s has no kustomization %s; it has %s", fc.Namespace, fc.Name, name, strings.Join(names, ", "))
}
