package client

import (
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
	helmkube "helm.sh/helm/v3/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/errlist"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// parallel is how many requests one action has under way at once.
const parallel = 8

// Create implements kube.Interface: for the objects of a release, its hooks, and
// the namespace that it makes for itself.
func (c *Client) Create(resources helmkube.ResourceList) (*helmkube.Result, error) {
	var parts, others helmkube.ResourceList
	for _, info := range resources {
		if c.isPart(objectOf(info)) {
			parts = append(parts, info)
		} else {
			others = append(others, info)
		}
	}
	if err := c.each(others, c.create); err != nil {
		return &helmkube.Result{}, err
	}
	if len(parts) == 0 {
		return &helmkube.Result{Created: others}, nil
	}
	result, err := c.write(nil, parts, false)
	result.Created = append(result.Created, others...)
	if err == nil {
		result.Deleted, err = c.settle(nil, parts)
	}
	return result, err
}

// create makes a hook, or the release's namespace.
func (c *Client) create(info *resource.Info) error {
	failpoint.Hit("release.hook")
	answer, err := c.applier.Create(c.ctx, objectOf(info), c.Owner, c.ServerSide)
	if err == nil {
		info.Object, info.ResourceVersion = answer, answer.GetResourceVersion()
	}
	return err
}

// Update implements kube.Interface. A crash in here leaves the release pending, and
// whoever takes it over applies the same manifest again.
func (c *Client) Update(original, target helmkube.ResourceList, force bool) (*helmkube.Result, error) {
	result, err := c.write(original, target, force)
	if err != nil {
		return result, err
	}
	result.Deleted, err = c.settle(original, target)
	return result, err
}

// UpdateThreeWayMerge implements kube.InterfaceThreeWayMerge.
func (c *Client) UpdateThreeWayMerge(original, target helmkube.ResourceList, force bool) (*helmkube.Result, error) {
	return c.Update(original, target, force)
}

// write brings the objects of a release to the cluster.
func (c *Client) write(original, target helmkube.ResourceList, force bool) (*helmkube.Result, error) {
	objects := objectsOf(target)
	force = force || c.Force
	req := c.request(objects, force)
	var result apply.Result
	var err error
	if c.ServerSide {
		result, err = c.serverSide(req, force)
	} else {
		result, err = c.applier.Merge(c.ctx, req, objectsOf(original), c.validates())
	}
	c.keep(result)
	return resultOf(target, result.Changes), err
}

func (c *Client) serverSide(req apply.Request, force bool) (result apply.Result, err error) {
	plan, ok := c.plannedFor(req.Objects)
	c.forgetPlan() // it is for one run
	if !ok || force && !c.Force {
		req.Creates = "" // it is there by now
		if plan, err = c.applier.Plan(c.ctx, req); err != nil {
			return result, err
		}
	}
	for {
		step, err := c.applier.Run(c.ctx, req, plan)
		result.Changes = append(result.Changes, step.Changes...)
		result.Written = merged(result.Written, step.Written)
		notYet := new(apply.NotYet)
		if !errors.As(err, &notYet) {
			return result, err
		}
		if err := c.until(c.ctx, notYet.Keys, c.taken(notYet.Keys)); err != nil {
			return result, err
		}
		req.Written = merged(req.Written, step.Written) // those are not asked for again
		if plan, err = c.applier.Plan(c.ctx, req); err != nil {
			return result, err
		}
	}
}

// Delete implements kube.Interface.
func (c *Client) Delete(resources helmkube.ResourceList) (*helmkube.Result, []error) {
	return c.DeleteWithPropagationPolicy(resources, metav1.DeletePropagationBackground)
}

// DeleteWithPropagationPolicy implements kube.InterfaceDeletionPropagation. Objects
// go in the opposite order of applying, and what belongs to another release by now
// stays.
func (c *Client) DeleteWithPropagationPolicy(resources helmkube.ResourceList, policy metav1.DeletionPropagation) (*helmkube.Result, []error) {
	var errs []error
	for _, stage := range c.stages(resources) {
		errs = append(errs, c.each(stage, func(info *resource.Info) error { return c.remove(keyOf(info), policy) }))
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return &helmkube.Result{Deleted: resources}, nil // the SDK takes an empty list for errors
	}
	return &helmkube.Result{}, errs
}

func (c *Client) remove(key kube.Key, policy metav1.DeletionPropagation) error {
	if r, known := c.View.Get(c.Owner.Kind, key); known && r.Owner != c.Owner && r.Owner != (live.User{}) && c.Exists(r.Owner) {
		c.confirm(key, true)
		return nil
	}
	failpoint.Hit("release.remove")
	gone, err := c.applier.Remove(c.ctx, key, policy)
	c.confirm(key, gone && err == nil)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refused = append(c.refused, err)
	}
	return err
}

// Refused is why objects could not be deleted, nil when all could. The SDK's own
// words for it are that the release could not be.
func (c *Client) Refused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errlist.Join(c.refused)
}

// confirm notes whether an object needs not be waited for to be gone.
func (c *Client) confirm(key kube.Key, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[key] = gone
}

// stages sorts what is to be deleted, in the opposite order of applying.
func (c *Client) stages(resources helmkube.ResourceList) []helmkube.ResourceList {
	out := make([]helmkube.ResourceList, kube.Stages)
	for _, info := range resources {
		at := kube.Stages - 1 - kube.Stage(keyOf(info).GroupKind)
		out[at] = append(out[at], info)
	}
	return out
}

// each does something to every resource, with a bound, and goes on after errors.
func (c *Client) each(resources helmkube.ResourceList, do func(*resource.Info) error) error {
	errs := make([]error, len(resources))
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i, info := range resources {
		group.Go(func() error {
			errs[i] = do(info)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	return errors.Join(errs...)
}

func objectOf(info *resource.Info) *unstructured.Unstructured {
	obj, _ := info.Object.(*unstructured.Unstructured) // Build makes no others
	return obj
}

func objectsOf(resources helmkube.ResourceList) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, len(resources))
	for i, info := range resources {
		out[i] = objectOf(info)
	}
	return out
}

func keyOf(info *resource.Info) kube.Key { return kube.KeyOf(objectOf(info)) }

func keysOf(resources helmkube.ResourceList) []kube.Key {
	out := make([]kube.Key, len(resources))
	for i, info := range resources {
		out[i] = keyOf(info)
	}
	return out
}

// resultOf says in the SDK's words what became of the resources.
func resultOf(target helmkube.ResourceList, changes []apply.Change) *helmkube.Result {
	created := map[kube.Key]bool{}
	for _, change := range changes {
		created[change.Key] = change.Action == apply.Created
	}
	result := &helmkube.Result{}
	for _, info := range target {
		if made, decided := created[keyOf(info)]; made {
			result.Created = append(result.Created, info)
		} else if decided {
			result.Updated = append(result.Updated, info)
		}
	}
	return result
}

func merged(a, b map[kube.Key]apply.Written) map[kube.Key]apply.Written {
	out := make(map[kube.Key]apply.Written, len(a)+len(b))
	for _, m := range []map[kube.Key]apply.Written{a, b} {
		for key, w := range m {
			out[key] = w
		}
	}
	return out
}
