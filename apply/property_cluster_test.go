package apply_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/prune"
)

// FuzzPlan holds planner and pruner to their laws on random desired sets,
// inventories and live states, on a real API server:
//
//   - nothing that is desired is deleted or made anew;
//   - what another unit holds, and what asks to be left alone, is not touched;
//   - afterwards everything desired is as desired, and a second plan is empty.
func FuzzPlan(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := &game{world: newWorld(t), Rand: rand.New(rand.NewPCG(seed, 7))}
		g.pruner = &prune.Pruner{Cluster: g.cluster, View: g.view}
		for range 12 {
			g.round()
		}
	})
}

// game is a world in which a unit and everybody else take turns.
type game struct {
	*world
	*rand.Rand
	pruner *prune.Pruner
}

// tokens are the kinds of the game.
var tokens = []schema.GroupVersionKind{{Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "Secret"}}

const names = 6 // of each kind

func (g *game) token(kind, name int) kube.Key {
	key := kube.Key{Version: "v1"}
	key.GroupKind, key.Namespace, key.Name = tokens[kind].GroupKind(), g.ns, fmt.Sprintf("t%d", name)
	return key
}

func (g *game) any() kube.Key { return g.token(g.IntN(len(tokens)), g.IntN(names)) }

func (g *game) chance(percent int) bool { return g.IntN(100) < percent }

// make is an object of random content.
func (g *game) make(key kube.Key) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{}}}
	obj.SetGroupVersionKind(key.GVK())
	obj.SetNamespace(key.Namespace)
	obj.SetName(key.Name)
	for _, field := range []string{"a", "b", "c"} {
		if g.chance(60) {
			obj.Object["data"].(map[string]any)[field] = string("AQgw"[g.IntN(4)]) + "A=="
		}
	}
	if g.chance(15) {
		marks := []string{"ssa=IfNotPresent", "ssa=Ignore", "ssa=Merge", "reconcile=disabled", "prune=disabled"}
		name, value, _ := strings.Cut(marks[g.IntN(len(marks))], "=")
		obj.SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/" + name: value})
	}
	return obj
}

// state is everything on the cluster, by key.
func (g *game) state() map[kube.Key]*unstructured.Unstructured {
	out := map[kube.Key]*unstructured.Unstructured{}
	for _, gvk := range tokens {
		resource, err := g.cluster.Resource(gvk, g.ns)
		if err != nil {
			g.Fatal(err)
		}
		list, err := resource.List(g.Context(), metav1.ListOptions{})
		if err != nil {
			g.Fatal(err)
		}
		for i := range list.Items {
			if key := kube.KeyOf(&list.Items[i]); strings.HasPrefix(key.Name, "t") {
				out[key] = &list.Items[i]
			}
		}
	}
	return out
}

// others take a turn: they edit, delete, make, mark, and take over for a unit of
// their own.
func (g *game) others() {
	for range g.IntN(5) {
		key, now := g.any(), g.state()
		theirs := g.make(key)
		switch move := g.IntN(5); {
		case now[key] == nil && move == 0:
			g.as("somebody", theirs)
		case now[key] == nil:
		case move == 1:
			g.drop(key)
		case move == 2:
			theirs.SetLabels(map[string]string{kustomizev1.NameLabel: "other", kustomizev1.NamespaceLabel: g.ns})
			theirs.SetAnnotations(nil) // a unit applies nothing that is to be ignored
			g.as(kustomizev1.FieldManager, theirs)
		default:
			by := []string{"somebody", "kubectl-edit"}[g.IntN(2)]
			g.patch(by, key, "", fmt.Sprintf(`{"data":{"a":"%sA=="}}`, string("xyz"[g.IntN(3)])))
		}
	}
}

// sync waits until the live view has seen all of it.
func (g *game) sync(now map[kube.Key]*unstructured.Unstructured) {
	for kind := range tokens {
		for name := range names {
			key := g.token(kind, name)
			obj := now[key]
			if obj == nil || obj.GetLabels()[kustomizev1.NameLabel] == "" {
				g.gone(key)
			} else {
				g.settle(obj)
			}
		}
	}
}

func owner(obj *unstructured.Unstructured) live.User {
	return live.Reduce(kustomizev1.KustomizationKind, obj).Owner
}

func (g *game) round() {
	g.others()
	var desired []*unstructured.Unstructured
	for kind := range tokens {
		for name := range names {
			if g.chance(55) {
				desired = append(desired, g.make(g.token(kind, name)))
			}
		}
	}
	if g.chance(25) {
		clear(g.known) // a restart
	}
	if g.chance(10) {
		g.have = append(g.have, g.any()) // a crash before the write, or somebody's hand
	}
	if err := g.Follow(g.Context(), g.unit, append(slices.Clone(g.have), g.token(0, 0), g.token(1, 0))); err != nil {
		g.Fatal(err)
	}
	before := g.state()
	g.sync(before)
	desired = g.reconcile(desired)
	g.judge(desired, before, g.state())
}

// reconcile is a pass as the engine makes it. It returns what was desired, less
// what another unit holds.
func (g *game) reconcile(desired []*unstructured.Unstructured) []*unstructured.Unstructured {
	for {
		req := g.request(desired)
		plan, err := g.Plan(g.Context(), req)
		if err != nil {
			kept := slices.DeleteFunc(slices.Clone(desired), func(o *unstructured.Unstructured) bool {
				return strings.Contains(err.Error(), kube.KeyOf(o).String()+" is managed by Kustomization "+g.ns+"/other")
			})
			if len(kept) == len(desired) {
				g.Fatal(err)
			}
			desired = kept
			continue
		}
		claims := claimed(plan, g.have)
		g.have = prune.Union(g.have, claims)
		result, err := g.Run(g.Context(), req, plan)
		if err != nil {
			g.Fatal(err)
		}
		maps.Copy(g.known, result.Written)
		g.prune(claims)
		return desired
	}
}

// claimed is what a unit has once a plan is carried out.
func claimed(plan apply.Plan, have []kube.Key) []kube.Key {
	var out []kube.Key
	for _, c := range plan.Changes() {
		if c.Action != apply.Skipped || slices.ContainsFunc(have, func(k kube.Key) bool { return k.ObjMetadata == c.Key.ObjMetadata }) {
			out = append(out, c.Key)
		}
	}
	return out
}

func (g *game) prune(claims []kube.Key) {
	outcomes, err := g.pruner.Run(g.Context(), prune.Request{Unit: g.unit, Objects: prune.Minus(g.have, claims)})
	if err != nil {
		g.Fatal(err)
	}
	for _, o := range outcomes {
		if o.Verdict == prune.Gone || o.Verdict == prune.Forget {
			g.have = prune.Minus(g.have, []kube.Key{o.Key})
		}
	}
}

func says(obj *unstructured.Unstructured, mark string) bool {
	name, value, _ := strings.Cut(mark, "=")
	return obj != nil && strings.EqualFold(obj.GetAnnotations()["kustomize.toolkit.fluxcd.io/"+name], value)
}

// alone tells whether an object is to be left as it is. A policy in the source
// overrides that of the cluster.
func alone(wanted, was *unstructured.Unstructured) bool {
	switch {
	case says(wanted, "reconcile=disabled"), says(was, "reconcile=disabled"), says(wanted, "ssa=Ignore"):
		return true
	case was == nil:
		return false
	case wanted.GetAnnotations()[kustomizev1.PolicyAnnotation] != "":
		return says(wanted, "ssa=IfNotPresent")
	default:
		return marked(was) && (says(was, "ssa=Ignore") || says(was, "ssa=IfNotPresent"))
	}
}

// marked tells whether somebody else set the policy of an object, so that it stays
// when the source says nothing of it.
func marked(obj *unstructured.Unstructured) bool {
	return slices.ContainsFunc(obj.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager != kustomizev1.FieldManager && strings.Contains(e.FieldsV1.GetRawString(), "f:"+kustomizev1.PolicyAnnotation)
	})
}

// judge holds what happened to the laws.
func (g *game) judge(desired []*unstructured.Unstructured, before, after map[kube.Key]*unstructured.Unstructured) {
	wanted := map[kube.Key]*unstructured.Unstructured{}
	for _, obj := range desired {
		key := kube.KeyOf(obj)
		wanted[key] = obj
		g.judgeOne(key, obj, before[key], after[key])
	}
	for key, was := range before {
		now := after[key]
		foreign := owner(was) != g.unit || says(was, "prune=disabled") || says(was, "reconcile=disabled")
		switch {
		case wanted[key] != nil:
		case foreign && (now == nil || now.GetResourceVersion() != was.GetResourceVersion()):
			g.Errorf("%s of %s was touched", key, owner(was))
		case !foreign && now != nil:
			g.Errorf("%s left the source and is still there", key)
		}
	}
	g.sync(after)
	plan, err := g.Plan(g.Context(), g.request(desired))
	if err != nil || !plan.Empty() {
		g.Errorf("a second plan is %s, %v", actions(plan.Changes()), err)
	}
	outcomes, err := g.pruner.Run(g.Context(), prune.Request{Unit: g.unit, Objects: prune.Minus(g.have, claimed(plan, g.have))})
	if err != nil || slices.ContainsFunc(outcomes, func(o prune.Outcome) bool { return o.Deleted }) {
		g.Errorf("pruned a second time: %v, %v", outcomes, err)
	}
}

func (g *game) judgeOne(key kube.Key, wanted, was, now *unstructured.Unstructured) {
	switch {
	case was != nil && (now == nil || now.GetUID() != was.GetUID()):
		g.Errorf("%s is desired and was deleted", key)
	case alone(wanted, was):
		if (was == nil) != (now == nil) || was != nil && was.GetResourceVersion() != now.GetResourceVersion() {
			g.Errorf("%s asks to be left alone and was touched", key)
		}
	case now == nil:
		g.Errorf("%s is desired and not there", key)
	case owner(now) != g.unit:
		g.Errorf("%s belongs to %s", key, owner(now))
	default:
		if err := holds(now, wanted); err != nil {
			g.Errorf("%s: %v", key, err)
		}
	}
}

func holds(now, wanted *unstructured.Unstructured) error {
	var errs []error
	data, _ := now.Object["data"].(map[string]any)
	for field, value := range wanted.Object["data"].(map[string]any) {
		if data[field] != value {
			errs = append(errs, fmt.Errorf("data.%s is %v, want %v", field, data[field], value))
		}
	}
	return errors.Join(errs...)
}
