package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/errlist"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// Merge writes the objects of a request client-side, for units that ask for that:
// what is not there is created, what is there gets the difference between what
// was applied before, what is wanted now and what is live (a three-way merge). With
// req.Force an object is replaced, and recreated where that is refused.
//
// before are the objects as they were applied last; strict has the server refuse
// fields that it does not know. Everything goes in stages, and no further after
// one that failed; running it anew after a crash does the rest.
func (a *Applier) Merge(ctx context.Context, req Request, before []*unstructured.Unstructured, strict bool) (Result, error) {
	m := a.merging(req, before, strict)
	result := Result{Written: map[kube.Key]Written{}}
	if err := m.prepare(ctx); err != nil {
		return result, err
	}
	for i := range m.stages {
		if i > 0 {
			if err := m.ready(m.stages[i-1], m.stages[i:]); err != nil {
				return result, err
			}
		}
		written, err := m.stage(ctx, m.stages[i])
		result.Changes = append(result.Changes, m.stages[i]...)
		maps.Copy(result.Written, written)
		if err != nil {
			return result, err
		}
	}
	return result, nil
}

// Try has the server try by dry runs what Merge would write, but for what waits for
// something else of the set: objects of its kinds, and in its namespaces. All that is
// wrong is in the error.
func (a *Applier) Try(ctx context.Context, req Request, before []*unstructured.Unstructured, strict bool) error {
	m := a.merging(req, before, strict)
	m.dryRun = []string{metav1.DryRunAll}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	var errs []error
	for i := range m.stages {
		m.deferUntried(m.stages[i : i+1])
		stage := slices.DeleteFunc(slices.Clone(m.stages[i]), func(c Change) bool { return c.deferred })
		_, err := m.stage(ctx, stage)
		errs = append(errs, err)
		m.noteNew(stage)
	}
	return errlist.Join(errs)
}

func (a *Applier) merging(req Request, before []*unstructured.Unstructured, strict bool) *merging {
	m := &merging{planning: a.planning(req), before: map[object.ObjMetadata]*unstructured.Unstructured{}, strict: strict}
	for _, obj := range before {
		m.before[kube.KeyOf(obj).ObjMetadata] = owned(obj, req.Unit)
	}
	return m
}

type merging struct {
	*planning
	before map[object.ObjMetadata]*unstructured.Unstructured
	strict bool
	dryRun []string // as requests have it; nil to write
}

// stage writes one stage. Each goroutine has its own slot, so no lock is needed.
func (m *merging) stage(ctx context.Context, stage []Change) (map[kube.Key]Written, error) {
	errs := make([]error, len(stage))
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i := range stage {
		var done bool
		if stage[i], done = m.known(stage[i]); done {
			continue
		}
		group.Go(func() error {
			stage[i], errs[i] = m.object(ctx, stage[i])
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	written := map[kube.Key]Written{}
	for i := range stage {
		if errs[i] != nil {
			stage[i].Action, stage[i].Reason = Failed, errs[i].Error()
			continue
		}
		written[stage[i].Key] = Written{Desired: stage[i].hash, Owned: stage[i].owned}
	}
	return written, errlist.Join(errs)
}

// object writes one object. A crash before the answer leaves it as the next run
// finds and completes it.
func (m *merging) object(ctx context.Context, c Change) (Change, error) {
	current, err := m.get(ctx, c.Key)
	switch {
	case apierrors.IsNotFound(err):
		c.Action = Created
		return m.sent(ctx, c, m.create)
	case err != nil:
		return c, refused(c.Key, "look", err)
	case m.req.Force:
		c.Action, c.uid = Configured, current.GetUID()
		return m.sent(ctx, c, func(ctx context.Context, c Change) (*unstructured.Unstructured, error) {
			return m.replace(ctx, c, current)
		})
	}
	patch, kind, err := threeWay(m.before[c.Key.ObjMetadata], c.desired, current)
	if err != nil {
		return c, refused(c.Key, "compare", err)
	}
	if string(patch) == "{}" {
		c.Action, c.owned = Unchanged, live.Reduce(m.req.Unit.Kind, current).Owned
		if m.dryRun == nil {
			m.View.Observe(m.req.Unit.Kind, current)
		}
		return c, nil
	}
	c.Action = Configured
	return m.sent(ctx, c, func(ctx context.Context, c Change) (*unstructured.Unstructured, error) {
		resource, err := m.Cluster.Resource(c.Key.GVK(), c.Key.Namespace)
		if err != nil {
			return nil, err
		}
		return resource.Patch(ctx, c.Key.Name, kind, patch, metav1.PatchOptions{DryRun: m.dryRun, FieldManager: m.manager, FieldValidation: m.validation()})
	})
}

// sent makes a write and has the live view know its answer.
func (m *merging) sent(ctx context.Context, c Change, write func(context.Context, Change) (*unstructured.Unstructured, error)) (Change, error) {
	answer, err := write(ctx, c)
	switch {
	case m.dryRun != nil && (err == nil || m.awaitsNamespace(c.Key, err)):
		return c, nil
	case m.dryRun != nil:
		return c, refused(c.Key, "dry-run", err)
	case err != nil:
		return c, refused(c.Key, "apply", err)
	}
	c.owned = m.View.Observe(m.req.Unit.Kind, answer).Owned
	return c, nil
}

func (m *merging) create(ctx context.Context, c Change) (*unstructured.Unstructured, error) {
	resource, err := m.Cluster.Resource(c.Key.GVK(), c.Key.Namespace)
	if err != nil {
		return nil, err
	}
	return resource.Create(ctx, c.desired, metav1.CreateOptions{DryRun: m.dryRun, FieldManager: m.manager, FieldValidation: m.validation()})
}

// replace puts an object in the place of the one that is there, and makes it anew
// where a field cannot be changed in place.
func (m *merging) replace(ctx context.Context, c Change, current *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := m.Cluster.Resource(c.Key.GVK(), c.Key.Namespace)
	if err != nil {
		return nil, err
	}
	next := c.desired.DeepCopy()
	next.SetResourceVersion(current.GetResourceVersion())
	answer, err := resource.Update(ctx, next, metav1.UpdateOptions{DryRun: m.dryRun, FieldManager: m.manager, FieldValidation: m.validation()})
	if !immutable(err) || precious[c.Key.GroupKind] {
		return answer, err
	}
	if m.dryRun != nil {
		return current, nil // it is made anew then
	}
	if err := m.makeRoom(ctx, c); err != nil {
		return nil, err
	}
	return m.create(ctx, c)
}

func (m *merging) validation() string {
	if m.strict {
		return metav1.FieldValidationStrict
	}
	return metav1.FieldValidationIgnore
}

// threeWay is the patch that makes current what wanted says: fields of before
// that wanted does not have go, those that only current has stay. before may be
// nil. Built-in kinds have merge keys for their lists; others have lists replaced.
func threeWay(before, wanted, current *unstructured.Unstructured) ([]byte, types.PatchType, error) {
	if before == nil {
		before = wanted
	}
	var texts [3][]byte
	for i, obj := range []*unstructured.Unstructured{before, wanted, current} {
		text, err := json.Marshal(obj.Object)
		if err != nil {
			return nil, "", err
		}
		texts[i] = text
	}
	typed, err := scheme.Scheme.New(wanted.GroupVersionKind())
	if err != nil { // not built in
		patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(texts[0], texts[1], texts[2])
		return patch, types.MergePatchType, err
	}
	patchMeta, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return nil, "", err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(texts[0], texts[1], texts[2], patchMeta, true)
	return patch, types.StrategicMergePatchType, err
}

// Settle deletes an object that left a release, unless the object on the cluster
// says by its annotation helm.sh/resource-policy that it is to be kept.
func (a *Applier) Settle(ctx context.Context, unit live.User, key kube.Key, policy metav1.DeletionPropagation) (kept bool, err error) {
	r, known := a.View.Get(unit.Kind, key)
	if !known {
		obj, err := a.get(ctx, key)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return false, nil
		}
		if err != nil {
			return false, refused(key, "look", err)
		}
		r = live.Reduce(unit.Kind, obj)
	}
	if r.Keep {
		return true, nil
	}
	_, err = a.Remove(ctx, key, policy)
	return false, err
}

// Remove deletes an object that may be gone already. gone is false while something
// keeps it.
func (a *Applier) Remove(ctx context.Context, key kube.Key, policy metav1.DeletionPropagation) (gone bool, err error) {
	gone, err = a.Cluster.DeleteAs(ctx, key, policy)
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, refused(key, "delete", err)
	default:
		return gone, nil
	}
}

// Create makes one object client-side, or applies it, as hooks are made: what is
// not a part of a unit gets no labels of it.
func (a *Applier) Create(ctx context.Context, obj *unstructured.Unstructured, unit live.User, serverSide bool) (*unstructured.Unstructured, error) {
	key := kube.KeyOf(obj)
	resource, err := a.Cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return nil, fmt.Errorf("%s: find its resource: %w", key, err)
	}
	if serverSide {
		obj, err = resource.Apply(ctx, key.Name, obj, metav1.ApplyOptions{FieldManager: unit.Manager(), Force: true})
	} else {
		obj, err = resource.Create(ctx, obj, metav1.CreateOptions{FieldManager: unit.Manager()})
	}
	if err != nil {
		return nil, refused(key, "create", err)
	}
	return obj, nil
}
