package cli

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// follow tells of each object of a selection as it is now and then as it changes,
// until ctx ends, from one goroutine. A connection that breaks is made anew.
func follow(ctx context.Context, resource dynamic.ResourceInterface, only metav1.ListOptions, tell func(obj *unstructured.Unstructured, gone bool)) {
	narrow := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector, o.FieldSelector = only.LabelSelector, only.FieldSelector
		return o
	}
	lw := cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return resource.List(ctx, narrow(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return resource.Watch(ctx, narrow(o))
		},
	}
	say := func(obj any, gone bool) {
		if last, unseen := obj.(cache.DeletedFinalStateUnknown); unseen {
			obj = last.Obj
		}
		if u, ok := obj.(*unstructured.Unstructured); ok && ctx.Err() == nil {
			tell(u, gone)
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &lw, ObjectType: &unstructured.Unstructured{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { say(obj, false) },
			UpdateFunc: func(_, now any) { say(now, false) },
			DeleteFunc: func(obj any) { say(obj, true) },
		},
	})
	informer.RunWithContext(ctx)
}
