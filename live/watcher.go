package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// sink takes what a watcher sees.
type sink interface {
	// put takes an object as it is now.
	put(obj *unstructured.Unstructured)
	// remove takes the last state of an object that left the selection.
	remove(obj *unstructured.Unstructured)
	// replace takes the whole selection, as of a resource version.
	replace(objs []*unstructured.Unstructured, resourceVersion string)
}

// watcher follows one selection of one resource and tells a sink. It keeps at
// it until it is stopped; how far it came is in synced and failed.
type watcher struct {
	resource dynamic.ResourceInterface
	selected metav1.ListOptions // the label or field selector
	sink     sink
	gone     func() // the server does not serve the resource any more

	once   sync.Once
	synced chan struct{} // closed when the sink has the first complete selection

	mu     sync.Mutex
	err    error         // the last refusal, nil once a request succeeded
	failed chan struct{} // closed when err was set before synced
}

func newWatcher(resource dynamic.ResourceInterface, selected metav1.ListOptions, s sink, gone func()) *watcher {
	return &watcher{resource: resource, selected: selected, sink: s, gone: gone, synced: make(chan struct{}), failed: make(chan struct{})}
}

// run watches until ctx ends. The reflector backs off on errors by itself.
func (w *watcher) run(ctx context.Context) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := w.resource.List(ctx, w.options(o))
			return list, w.note(ctx, err)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := w.watch(ctx, o)
			return events, w.note(ctx, err)
		},
	}
	cache.NewReflectorWithOptions(lw, &unstructured.Unstructured{}, w, cache.ReflectorOptions{Name: "live"}).RunWithContext(ctx)
}

// answerTimeout is how long a server may take to begin with its answer to a
// watch. Nothing else bounds that: a watch itself has no end.
const answerTimeout = 20 * time.Second

// watch starts a watch, and gives up when the server does not answer at all.
func (w *watcher) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	timer := time.AfterFunc(answerTimeout, func() { giveUp(errNoAnswer) })
	events, err := w.resource.Watch(ctx, w.options(o))
	if timer.Stop() {
		return events, err
	}
	if err == nil {
		events.Stop() // it came in the very moment
	}
	return nil, errNoAnswer
}

var errNoAnswer = errors.New("the server does not answer")

func (w *watcher) options(o metav1.ListOptions) metav1.ListOptions {
	o.LabelSelector, o.FieldSelector = w.selected.LabelSelector, w.selected.FieldSelector
	return o
}

// note remembers how the last request went.
func (w *watcher) note(ctx context.Context, err error) error {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) {
		return err
	}
	if apierrors.IsNotFound(err) {
		w.gone()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.err == nil {
		close(w.failed)
	}
	if err == nil && w.err != nil {
		w.failed = make(chan struct{})
	}
	w.err = err
	return err
}

// wait returns when the first complete selection is there, with an error when
// the server refuses it or ctx ends before.
func (w *watcher) wait(ctx context.Context) error {
	w.mu.Lock()
	failed := w.failed
	w.mu.Unlock()
	select {
	case <-w.synced: // before a later failure, which only means that news is late
		return nil
	default:
	}
	select {
	case <-w.synced:
		return nil
	case <-failed:
		if err := w.refusal(); err != nil {
			return err
		}
		return w.wait(ctx) // a later request succeeded, but its list is not here yet
	case <-ctx.Done():
		return fmt.Errorf("waiting for the first list: %w", ctx.Err())
	}
}

func (w *watcher) refusal() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// trimmer is a sink that takes the objects of a list one by one, as they come, and
// leaves of each only what names it: a list of many is never there as a whole.
type trimmer interface {
	trim(obj *unstructured.Unstructured) *unstructured.Unstructured
}

// The rest makes a cache.TransformingStore of the watcher.

// Transformer implements cache.TransformingStore.
func (w *watcher) Transformer() cache.TransformFunc {
	t, ok := w.sink.(trimmer)
	if !ok {
		return nil
	}
	return func(item any) (any, error) {
		if obj, ok := item.(*unstructured.Unstructured); ok {
			return t.trim(obj), nil
		}
		return item, nil
	}
}

// Add implements cache.ReflectorStore.
func (w *watcher) Add(obj any) error { return w.Update(obj) }

// Update implements cache.ReflectorStore.
func (w *watcher) Update(obj any) error {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		w.sink.put(u)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (w *watcher) Delete(obj any) error {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		w.sink.remove(u)
	}
	return nil
}

// Replace implements cache.ReflectorStore.
func (w *watcher) Replace(list []any, resourceVersion string) error {
	objs := make([]*unstructured.Unstructured, 0, len(list))
	for _, item := range list {
		if u, ok := item.(*unstructured.Unstructured); ok {
			objs = append(objs, u)
		}
	}
	w.sink.replace(objs, resourceVersion)
	w.once.Do(func() { close(w.synced) })
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do.
func (w *watcher) Resync() error { return nil }
