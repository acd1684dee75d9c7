package apply

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
)

// intent is how far an apply goes.
type intent struct {
	write bool // else it is only tried
	force bool // take fields over that others own with other values
}

// get reads an object.
func (a *Applier) get(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	return retry.Do(ctx, func() (*unstructured.Unstructured, error) { return a.Cluster.Get(ctx, key) })
}

// send applies an object, or tries to, and returns it as the server has it, or
// would have it. An apply that is made twice is an apply that is made once.
func (p *planning) send(ctx context.Context, obj *unstructured.Unstructured, how intent) (*unstructured.Unstructured, error) {
	resource, err := p.Cluster.Resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	options := metav1.ApplyOptions{FieldManager: p.manager, Force: how.force}
	if !how.write {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return retry.Do(ctx, func() (*unstructured.Unstructured, error) { return resource.Apply(ctx, obj.GetName(), obj, options) })
}
