package live

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var errRefused = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "", errors.New("no"))

// tape notes what a watcher tells its sink.
type tape []string

func (s *tape) put(obj *unstructured.Unstructured)    { *s = append(*s, "put "+obj.GetName()) }
func (s *tape) remove(obj *unstructured.Unstructured) { *s = append(*s, "remove "+obj.GetName()) }
func (s *tape) replace(objs []*unstructured.Unstructured, rv string) {
	for _, obj := range objs {
		rv += " " + obj.GetName()
	}
	*s = append(*s, "replace at "+rv)
}

func newTestWatcher(gone func()) *watcher {
	return newWatcher(nil, metav1.ListOptions{LabelSelector: "a", FieldSelector: "b=c"}, &tape{}, gone)
}

func TestWait(t *testing.T) {
	t.Parallel()
	expired := apierrors.NewResourceExpired("too old")
	for name, c := range map[string]struct {
		noted  []error // how requests went
		synced bool
		want   error
	}{
		"complete":                        {noted: []error{nil}, synced: true},
		"refused":                         {noted: []error{errRefused}, want: errRefused},
		"refused again":                   {noted: []error{errRefused, errRefused}, want: errRefused},
		"the last refusal counts":         {noted: []error{errors.New("first"), errRefused}, want: errRefused},
		"complete, then refused":          {noted: []error{nil, errRefused}, synced: true},
		"refused, then complete":          {noted: []error{errRefused, nil}, synced: true},
		"refused, then not complete yet":  {noted: []error{errRefused, nil}, want: context.Canceled},
		"refused, admitted, refused":      {noted: []error{errRefused, nil, errRefused}, want: errRefused},
		"no answer yet":                   {want: context.Canceled},
		"an old version is not a refusal": {noted: []error{expired}, want: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestWatcher(func() { t.Error("gone") })
			for _, err := range c.noted {
				if got := w.note(t.Context(), err); !errors.Is(got, err) {
					t.Errorf("note answers %v to %v", got, err)
				}
			}
			if c.synced {
				_ = w.Replace(nil, "1") // has no error to give
			}
			ctx := t.Context()
			if errors.Is(c.want, context.Canceled) {
				ended, cancel := context.WithCancel(ctx)
				cancel()
				ctx = ended
			}
			if err := w.wait(ctx); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestWaitIsWoken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wake func(ctx context.Context, w *watcher)
		want error
	}{
		"by the first list": {func(_ context.Context, w *watcher) { _ = w.Replace(nil, "1") }, nil},
		"by a refusal":      {func(ctx context.Context, w *watcher) { _ = w.note(ctx, errRefused) }, errRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTestWatcher(nil)
			answers := make(chan error)
			for range 3 {
				go func() { answers <- w.wait(t.Context()) }()
			}
			c.wake(t.Context(), w)
			for range 3 {
				if err := <-answers; !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
}

// A list that is refused once and admitted at the next try, before the waiter
// gets to look, is still no complete list.
func TestWaitIsNotOverWhenARefusalIs(t *testing.T) {
	t.Parallel()
	for range 2000 {
		w := newTestWatcher(nil)
		ctx, cancel := context.WithCancel(t.Context())
		ready, answer := make(chan struct{}), make(chan error)
		go func() {
			close(ready)
			answer <- w.wait(ctx)
		}()
		<-ready
		runtime.Gosched()
		_ = w.note(ctx, errRefused)
		_ = w.note(ctx, nil)
		cancel()
		if err := <-answer; err == nil {
			t.Fatal("the wait is over before the first list")
		}
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	notFound := apierrors.NewNotFound(schema.GroupResource{Resource: "x"}, "")
	gone := 0
	w := newTestWatcher(func() { gone++ })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range []error{notFound, errRefused, context.Canceled} {
		if got := w.note(ended, err); !errors.Is(got, err) || gone != 0 || w.err != nil {
			t.Errorf("%v after the end counts", err)
		}
	}
	_ = w.note(t.Context(), errRefused)
	if gone != 0 {
		t.Error("a refusal means that the kind is gone")
	}
	_ = w.note(t.Context(), notFound)
	if err := w.wait(t.Context()); gone != 1 || !errors.Is(err, notFound) {
		t.Errorf("gone %d times, got %v", gone, err)
	}
}

func TestWaitSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	v, _, _ := watched()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Sync(ended, units, configMaps); err == nil || err.Error() != "watch ConfigMap: waiting for the first list: context canceled" {
		t.Errorf("got %v", err)
	}
	v, n, _ := followed(t)
	_ = n.watcher.note(t.Context(), errRefused)
	if _, err := v.Object(t.Context(), n.key); !errors.Is(err, errRefused) || !strings.HasPrefix(err.Error(), "watch ConfigMap/shop/a: ") {
		t.Errorf("got %v", err)
	}
}

func TestWatcherFeedsItsSink(t *testing.T) {
	t.Parallel()
	w := newTestWatcher(nil)
	a, b := configMap(t, "a", "1", ""), configMap(t, "b", "1", "")
	for _, err := range []error{
		w.Replace([]any{a, "no object", b}, "5"), w.Add(a), w.Update(b), w.Delete(a), w.Resync(),
		w.Add("no object"), w.Delete(nil), w.Replace(nil, "6"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	const want = "replace at 5 a b; put a; put b; remove a; replace at 6"
	if got := strings.Join(*w.sink.(*tape), "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWatcherSelects(t *testing.T) {
	t.Parallel()
	got := newTestWatcher(nil).options(metav1.ListOptions{LabelSelector: "x", ResourceVersion: "5", AllowWatchBookmarks: true})
	if got.LabelSelector != "a" || got.FieldSelector != "b=c" || got.ResourceVersion != "5" || !got.AllowWatchBookmarks {
		t.Errorf("got %+v", got)
	}
}
