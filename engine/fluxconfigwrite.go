package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/fluxconfig"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// writeWanted writes what differs from what is wanted, in order. Each write is
// complete in itself and the next pass compares anew, so a crash between any two
// leaves objects that are as wanted, and others that are as they were.
func (e *Engine) writeWanted(ctx context.Context, p *configPass) error {
	for _, want := range p.wanted { // all watches at once: each takes a moment to answer
		if err := p.follow(want); err != nil {
			return err
		}
	}
	for _, want := range p.wanted {
		have, err := e.present(ctx, p, want)
		if err != nil {
			return err
		}
		if have != nil && !belongs(have, want) {
			if want.GetKind() == serviceAccountKind {
				continue // somebody's own; its rights are a binding's matter
			}
			return fail(clusterconfigv1.InvalidReason, Stall, fmt.Errorf(
				"%s is there already and belongs to something else: rename the configuration, or delete that object", kube.KeyOf(want)))
		}
		if have != nil && has(have.Object, want.Object) && !extraData(have, want) {
			continue
		}
		failpoint.Hit("config.object")
		if err := e.put(ctx, p, want, have); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(want), err)
		}
		p.wrote = true
		p.actions = append(p.actions, Action{Key: kube.KeyOf(want), Verb: verbOf(have), At: e.now()})
	}
	return nil
}

// follow begins to follow an object that no cache has.
func (p *configPass) follow(want *unstructured.Unstructured) error {
	if isToolkit(want) {
		return nil
	}
	return p.reader.follow(kube.KeyOf(want))
}

// verbOf says what was done to an object, in the words of package apply.
func verbOf(have *unstructured.Unstructured) string {
	if have == nil {
		return string(apply.Created)
	}
	return string(apply.Configured)
}

// present is the object that is there under the name of one that is wanted; nil
// when none is.
func (e *Engine) present(ctx context.Context, p *configPass, want *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if !isToolkit(want) {
		return p.reader.object(ctx, kube.KeyOf(want))
	}
	return e.cached(ctx, want.GroupVersionKind(), client.ObjectKeyFromObject(want))
}

// put writes one object. The key pair is created and never overwritten: the public
// half of the one that is there may be in use.
func (e *Engine) put(ctx context.Context, p *configPass, want, have *unstructured.Unstructured) error {
	if want.GetKind() == secretKind && want.GetName() == fluxconfig.KeyName(p.object) && have == nil {
		return e.client.Create(ctx, want.DeepCopy(), client.FieldOwner(clusterconfigv1.FieldManager))
	}
	return e.applyConfig(ctx, stamped(want, have, requested(e.now())))
}

func (e *Engine) applyConfig(ctx context.Context, obj *unstructured.Unstructured) error {
	raw, err := obj.MarshalJSON()
	if err != nil {
		return err
	}
	return e.client.Patch(ctx, obj.DeepCopy(), client.RawPatch(types.ApplyPatchType, raw), client.FieldOwner(clusterconfigv1.FieldManager), client.ForceOwnership)
}

// stamped is what is written of an object that is there: with a request to
// reconcile, once for each change of the configuration. An older request stays,
// or this write would take it back.
func stamped(want, have *unstructured.Unstructured, now string) *unstructured.Unstructured {
	out := want.DeepCopy()
	annotations := out.GetAnnotations()
	generation, ours := annotations[clusterconfigv1.GenerationAnnotation]
	if have == nil || !ours {
		return out
	}
	value := have.GetAnnotations()[meta.ReconcileRequestAnnotation]
	if have.GetAnnotations()[clusterconfigv1.GenerationAnnotation] != generation {
		value = now
	}
	if value != "" {
		annotations[meta.ReconcileRequestAnnotation] = value
		out.SetAnnotations(annotations)
	}
	return out
}

// belongs tells whether an object that is there may be written: it carries the
// labels that tell whose it is.
func belongs(have, want *unstructured.Unstructured) bool {
	for _, label := range []string{clusterconfigv1.ManagedLabel, clusterconfigv1.NameLabel, clusterconfigv1.NamespaceLabel} {
		if value, wanted := want.GetLabels()[label]; wanted && have.GetLabels()[label] != value {
			return false
		}
	}
	return true
}

// has tells whether have is as want says, where want says something. A kind may
// leave out what is false or empty.
func has(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		in, _ := have.(map[string]any)
		for name, value := range want {
			if !has(in[name], value) {
				return false
			}
		}
		return true
	case []any:
		in, _ := have.([]any)
		return slices.EqualFunc(in, want, has)
	default:
		return have == want || have == nil && reflect.ValueOf(want).IsZero()
	}
}

// extraData tells whether a Secret has more than it should: what was given once.
func extraData(have, want *unstructured.Unstructured) bool {
	more, _, _ := unstructured.NestedMap(have.Object, "data")
	data, _, _ := unstructured.NestedMap(want.Object, "data")
	return want.GetKind() == secretKind && len(more) > len(data)
}

// cached reads an object of the kinds that the manager's cache has; nil when it is
// not there.
func (e *Engine) cached(ctx context.Context, gvk schema.GroupVersionKind, name types.NamespacedName) (*unstructured.Unstructured, error) {
	typed, err := e.client.Scheme().New(gvk)
	if err != nil {
		return nil, err
	}
	obj, ok := typed.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%s is no kind of objects", gvk.Kind)
	}
	if err := e.client.Get(ctx, name, obj); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	out := &unstructured.Unstructured{Object: content}
	out.SetGroupVersionKind(gvk)
	return out, nil
}

// remains lists what belongs to a configuration alone, past every cache: of what
// was written a moment ago a cache may not know yet, and it would be left behind.
func (e *Engine) remains(ctx context.Context, fc *clusterconfigv1.FluxConfig) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, gvk := range configKinds {
		mapping, err := e.Cluster.Mapping(gvk)
		if err != nil {
			return nil, err
		}
		list, err := e.Cluster.Dynamic.Resource(mapping.Resource).Namespace(fc.Namespace).List(ctx, listOwned(fc))
		if err != nil {
			return nil, fmt.Errorf("look for what is left of FluxConfig/%s/%s: %w", fc.Namespace, fc.Name, err)
		}
		for i := range list.Items {
			out = append(out, &list.Items[i])
		}
	}
	return out, nil
}

// sweep deletes what the configuration stood for and does not any more, in reverse
// dependency order; a change of those that go first wakes us for the rest. It
// looks after each write, and once for each generation: before the status says that
// this was put into effect, and after each start, so a crash leaves nothing behind.
func (e *Engine) sweep(ctx context.Context, p *configPass) error {
	if !p.wrote && e.configs.isSwept(p.object) {
		return nil
	}
	have, err := e.remains(ctx, p.object)
	if err != nil {
		return err
	}
	left := fluxconfig.Left(have, p.wanted)
	next := fluxconfig.Next(left)
	if err := e.preparePrune(ctx, p.object, next); err != nil {
		return err
	}
	if err := e.discard(ctx, next); err != nil {
		return err
	}
	if len(left) == 0 {
		e.configs.sweptAll(p.object)
	} else {
		e.configs.unswept(p.object)
	}
	return nil
}

// discard deletes objects, unless they are going already or were made anew.
func (e *Engine) discard(ctx context.Context, objects []*unstructured.Unstructured) error {
	var errs []error
	for _, obj := range objects {
		if obj.GetDeletionTimestamp() != nil {
			continue
		}
		failpoint.Hit("config.delete")
		uid := obj.GetUID()
		err := e.client.Delete(ctx, obj, client.Preconditions{UID: &uid})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("%s: %w", kube.KeyOf(obj), err))
		}
	}
	return errors.Join(errs...)
}
