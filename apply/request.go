package apply

import (
	"context"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

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

// sendOnce applies an object and does not try again.
func (p *planning) sendOnce(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	request, err := p.request(obj, intent{write: true})
	if err != nil {
		return nil, err
	}
	return request(ctx)
}

// send applies an object, or tries to, and returns it as the server has it, or
// would have it. An apply that is made twice is an apply that is made once.
func (p *planning) send(ctx context.Context, obj *unstructured.Unstructured, how intent) (*unstructured.Unstructured, error) {
	request, err := p.request(obj, how)
	if err != nil {
		return nil, err
	}
	return retry.Do(ctx, func() (*unstructured.Unstructured, error) { return request(ctx) })
}

// request prepares the apply of an object.
func (p *planning) request(obj *unstructured.Unstructured, how intent) (func(context.Context) (*unstructured.Unstructured, error), error) {
	resource, err := p.Cluster.Resource(obj.GroupVersionKind(), obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(obj.Object)
	if err != nil {
		return nil, err
	}
	// The server would parse the body once more, to warn of fields that are in it twice.
	// It cannot have any, and what the schema does not know is refused in any case.
	options := metav1.PatchOptions{FieldManager: p.manager, Force: &how.force, FieldValidation: metav1.FieldValidationIgnore}
	if !how.write {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return func(ctx context.Context) (*unstructured.Unstructured, error) {
		return resource.Patch(ctx, obj.GetName(), types.ApplyPatchType, body, options)
	}, nil
}
