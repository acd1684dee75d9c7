package cli

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// exists tells whether an object is there. One whose kind the cluster does not
// serve is not.
func exists(ctx context.Context, cluster *kube.Cluster, key kube.Key) (bool, error) {
	_, err := cluster.Get(ctx, key)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", key, err)
	}
	return true, nil
}

// until watches one object until done says so; it is nil while there is none.
func until(ctx context.Context, cluster *kube.Cluster, key kube.Key, done func(*unstructured.Unstructured) bool) error {
	resource, err := cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return err
	}
	byName := fields.OneTermEqualSelector("metadata.name", key.Name).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = byName
			return resource.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = byName
			return resource.Watch(ctx, o)
		},
	}
	absent := func(store cache.Store) (bool, error) { return len(store.List()) == 0 && done(nil), nil }
	_, err = watchtools.UntilWithSync(ctx, lw, &unstructured.Unstructured{}, absent, func(e watch.Event) (bool, error) {
		obj, ok := e.Object.(*unstructured.Unstructured)
		if e.Type == watch.Deleted {
			return done(nil), nil
		}
		return ok && done(obj), nil
	})
	if err != nil {
		return fmt.Errorf("%s: wait: %w", key, errors.Join(err, ctx.Err()))
	}
	return nil
}

var deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
