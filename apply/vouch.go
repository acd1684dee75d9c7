package apply

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// A dry run of an object that is not there yet costs the server nearly as much as the
// write. For kinds whose rules are few and known (plain.go) it says nothing new, once
// it is known that nothing but those rules decides: that there is no object of that
// name, that no webhook and no policy looks at the kind, that the account may create
// it under any name, and that the server takes one of its sort. Then the plan vouches
// for the rest of them. docs/decisions/0011-vouching.md says what that guarantees.

// worthwhile is how many objects of one kind in one namespace have to be new for the
// questions above to be cheaper than dry runs.
const worthwhile = 24

// sort is what objects have in common that are vouched for together.
type sort struct {
	gvk       schema.GroupVersionKind
	namespace string
}

// vouch decides the changes of a stage that need no dry run, and returns for each
// change whether it did. Where anything is in doubt it decides nothing.
func (p *planning) vouch(ctx context.Context, stage []Change, open []int) map[int]bool {
	sorts := map[sort][]int{}
	for _, i := range open {
		if c := stage[i]; p.regular(c) {
			s := sort{c.Key.GVK(), c.Key.Namespace}
			sorts[s] = append(sorts[s], i)
		}
	}
	done := map[int]bool{}
	for s, at := range sorts {
		if len(at) < worthwhile || !p.undecided(ctx, s) {
			continue
		}
		at = p.absent(ctx, s, stage, at)
		if len(at) < worthwhile || !p.sample(ctx, stage, at[0]) {
			continue
		}
		for _, i := range at {
			stage[i].Action, done[i] = Created, true
		}
	}
	return done
}

// regular tells whether the rules of plain.go say all there is to say of a change.
func (p *planning) regular(c Change) bool {
	if _, known := p.View.Get(p.req.Unit.Kind, c.Key); known || c.drifted || c.merges || p.req.Written[c.Key] != (Written{}) {
		return false
	}
	return len(p.req.Ignore.Paths(c.desired)) == 0 && plain(c.desired)
}

// sample tries one of the objects: whether the namespace takes objects, and whatever
// else holds for all of them alike.
func (p *planning) sample(ctx context.Context, stage []Change, at int) bool {
	c, err := p.ask(ctx, stage[at])
	return err == nil && c.Action == Created
}

// undecided tells whether nothing but the rules of the kind decides about its objects:
// no webhook, no policy, no right that depends on the name.
func (p *planning) undecided(ctx context.Context, s sort) bool {
	m, err := p.Cluster.Mapping(s.gvk)
	if err != nil {
		return false
	}
	rules, err := p.admission(ctx)
	if err != nil || rules.concern(m.Resource, "CREATE") {
		return false
	}
	for _, verb := range []string{"create", "patch"} {
		if allowed, err := p.may(ctx, verb, m.Resource, s.namespace); err != nil || !allowed {
			return false
		}
	}
	return true
}

// absent are those changes whose objects are not there, whoever's they would be. In a
// namespace with far more objects than are to come, looking is not worth it.
func (p *planning) absent(ctx context.Context, s sort, stage []Change, at []int) []int {
	m, err := p.Cluster.Mapping(s.gvk)
	if err != nil {
		return nil
	}
	reader, err := metadata.NewForConfigAndClient(p.admin().Config, p.admin().HTTP)
	if err != nil {
		return nil
	}
	there, pages := map[string]bool{}, 1+2*len(at)/page
	options := metav1.ListOptions{Limit: page}
	for ; pages > 0; pages-- {
		list, err := reader.Resource(m.Resource).Namespace(s.namespace).List(ctx, options)
		if err != nil {
			return nil
		}
		for i := range list.Items {
			there[list.Items[i].Name] = true
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return slices.DeleteFunc(at, func(i int) bool { return there[stage[i].Key.Name] })
		}
	}
	return nil
}

// page is how many objects are looked at in one request.
const page = 500

// may asks for a right that does not depend on the name of the object.
func (p *planning) may(ctx context.Context, verb string, resource schema.GroupVersionResource, namespace string) (bool, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": verb, "group": resource.Group, "version": resource.Version, "resource": resource.Resource, "namespace": namespace,
		}},
	}}
	answer, err := p.Cluster.Dynamic.Resource(reviews).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, err
}

var reviews = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "selfsubjectaccessreviews"}

// admin is who may look at more than a unit's account.
func (p *planning) admin() *kube.Cluster {
	if p.Admin != nil {
		return p.Admin
	}
	return p.Cluster
}
