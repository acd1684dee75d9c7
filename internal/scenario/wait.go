package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/retry"
)

// kinds are the kinds that tests name in short.
var kinds = map[string]schema.GroupVersionKind{
	"Namespace":                {Version: "v1", Kind: "Namespace"},
	"ConfigMap":                {Version: "v1", Kind: "ConfigMap"},
	"Secret":                   {Version: "v1", Kind: "Secret"},
	"Service":                  {Version: "v1", Kind: "Service"},
	"ServiceAccount":           {Version: "v1", Kind: "ServiceAccount"},
	"Pod":                      {Version: "v1", Kind: "Pod"},
	"PersistentVolumeClaim":    {Version: "v1", Kind: "PersistentVolumeClaim"},
	"Event":                    {Version: "v1", Kind: "Event"},
	"Deployment":               {Group: "apps", Version: "v1", Kind: "Deployment"},
	"Lease":                    {Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"},
	"Job":                      {Group: "batch", Version: "v1", Kind: "Job"},
	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
	"Role":                     {Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
	"RoleBinding":              {Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
	"ClusterRole":              {Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"},
	"ClusterRoleBinding":       {Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"},
	"StatefulSet":              {Group: "apps", Version: "v1", Kind: "StatefulSet"},
	"Bucket":                   {Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "Bucket"},
	"OCIRepository":            {Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "OCIRepository"},
	"HelmRepository":           {Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "HelmRepository"},
	"HelmChart":                {Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "HelmChart"},
	"ExternalArtifact":         {Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "ExternalArtifact"},
	"HelmRelease":              {Group: "helm.toolkit.fluxcd.io", Version: "v2", Kind: "HelmRelease"},
	"CronTab":                  {Group: "charts.example.com", Version: "v1", Kind: "CronTab"}, // of testdata/charts/kinds
	"Ingress":                  {Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	"HorizontalPodAutoscaler":  {Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	"GitRepository":            {Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"},
	"FluxConfig":               {Group: "clusterconfig.azure.com", Version: "v1alpha1", Kind: "FluxConfig"},
	"Kustomization":            {Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
}

// Key names an object of one of the kinds above.
func Key(kind, namespace, name string) kube.Key {
	gvk, ok := kinds[kind]
	if !ok {
		panic("no short name for kind " + kind)
	}
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
}

// Unit names a Kustomization of this world.
func (w *World) Unit(name string) kube.Key { return Key("Kustomization", w.NS, name) }

// Repository names a GitRepository of this world.
func (w *World) Repository(name string) kube.Key { return Key("GitRepository", w.NS, name) }

// Until watches an object until it is as wanted; it is nil while there is none.
// what says in words what is waited for.
func (w *World) Until(key kube.Key, what string, done func(*unstructured.Unstructured) bool) *unstructured.Unstructured {
	w.tb.Helper()
	var last *unstructured.Unstructured
	ctx, cancel := context.WithTimeout(w.tb.Context(), patience)
	defer cancel()
	resource, err := w.resource(key.GVK(), key.Namespace)
	if err != nil {
		w.tb.Fatal(err)
	}
	byName := fields.OneTermEqualSelector("metadata.name", key.Name).String()
	err = follow(ctx, resource, byName, func(objs []unstructured.Unstructured) bool {
		last = nil
		if len(objs) > 0 {
			last = &objs[0]
		}
		return done(last)
	}, func(e watch.Event, obj *unstructured.Unstructured) bool {
		last = obj
		if e.Type == watch.Deleted {
			last = nil
		}
		return done(last)
	})
	if err != nil {
		w.tb.Fatalf("%s: waiting until %s: %v; it is now:\n%s", key, what, err, describe(last))
	}
	return last
}

// UntilAll watches the objects of a kind in a namespace until they are as wanted.
func (w *World) UntilAll(kind, namespace, what string, done func([]unstructured.Unstructured) bool) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.tb.Context(), patience)
	defer cancel()
	resource, err := w.resource(kinds[kind], namespace)
	if err != nil {
		w.tb.Fatal(err)
	}
	have := map[string]unstructured.Unstructured{}
	all := func() bool { return done(slices.Collect(maps.Values(have))) }
	err = follow(ctx, resource, "", func(objs []unstructured.Unstructured) bool {
		clear(have)
		for _, obj := range objs {
			have[obj.GetName()] = obj
		}
		return all()
	}, func(e watch.Event, obj *unstructured.Unstructured) bool {
		have[obj.GetName()] = *obj
		if e.Type == watch.Deleted {
			delete(have, obj.GetName())
		}
		return all()
	})
	if err != nil {
		w.tb.Fatalf("%s in %s: waiting until %s: %v; they are %v", kind, namespace, what, err, slices.Sorted(maps.Keys(have)))
	}
}

// See has see called with every state of an object from now on, in order, until the
// test ends. It is called by one goroutine, and not after the object is gone.
func (w *World) See(key kube.Key, see func(*unstructured.Unstructured)) {
	w.tb.Helper()
	resource, err := w.resource(key.GVK(), key.Namespace)
	if err != nil {
		w.tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.tb.Context())
	ended := make(chan struct{})
	w.tb.Cleanup(func() { stop(); <-ended })
	byName := fields.OneTermEqualSelector("metadata.name", key.Name).String()
	go func() {
		defer close(ended)
		_ = follow(ctx, resource, byName, func(objs []unstructured.Unstructured) bool { // it ends with the test
			for i := range objs {
				see(&objs[i])
			}
			return false
		}, func(e watch.Event, obj *unstructured.Unstructured) bool {
			if e.Type != watch.Deleted {
				see(obj)
			}
			return false
		})
	}()
}

// follow lists a selection, then watches it, until one of the two says done. Where a
// watch comes to an end that it can't go on from, it begins anew.
func follow(ctx context.Context, r dynamic.ResourceInterface, selector string, now func([]unstructured.Unstructured) bool, then func(watch.Event, *unstructured.Unstructured) bool) error {
	lw := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		o.FieldSelector = selector
		return r.Watch(ctx, o)
	}}
	for {
		list, err := retry.Do(ctx, func() (*unstructured.UnstructuredList, error) {
			return r.List(ctx, metav1.ListOptions{FieldSelector: selector})
		})
		if err != nil || now(list.Items) {
			return err
		}
		_, err = watchtools.Until(ctx, list.GetResourceVersion(), lw, func(e watch.Event) (bool, error) {
			obj, ok := e.Object.(*unstructured.Unstructured)
			return ok && e.Type != watch.Bookmark && then(e, obj), nil
		})
		if !errors.Is(err, watchtools.ErrWatchClosed) {
			return err
		}
	}
}

func describe(obj *unstructured.Unstructured) string {
	if obj == nil {
		return "(not there)"
	}
	status, _, _ := unstructured.NestedMap(obj.Object, "status")
	return fmt.Sprintf("generation %d, annotations %v, status %v", obj.GetGeneration(), obj.GetAnnotations(), status)
}

// Condition is a condition of an object, nil when it has none of that type.
func Condition(obj *unstructured.Unstructured, name string) *metav1.Condition {
	if obj == nil {
		return nil
	}
	var status struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &status); err != nil {
		return nil
	}
	return apimeta.FindStatusCondition(status.Status.Conditions, name)
}

// Ready waits until an object is Ready at its current generation and, where one
// is given, at a revision.
func (w *World) Ready(key kube.Key, revision ...string) *unstructured.Unstructured {
	w.tb.Helper()
	return w.Until(key, "it is Ready "+strings.Join(revision, ""), func(obj *unstructured.Unstructured) bool {
		c := Condition(obj, "Ready")
		if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != obj.GetGeneration() {
			return false
		}
		return len(revision) == 0 || strings.Contains(c.Message, revision[0])
	})
}

// NotReady waits until an object is not Ready for a reason, with all of the
// texts in its message.
func (w *World) NotReady(key kube.Key, reason string, texts ...string) *metav1.Condition {
	w.tb.Helper()
	obj := w.Until(key, fmt.Sprintf("it is not Ready with %s and %q", reason, texts), func(obj *unstructured.Unstructured) bool {
		c := Condition(obj, "Ready")
		if c == nil || c.Status == metav1.ConditionTrue || c.Reason != reason {
			return false
		}
		for _, text := range texts {
			if !strings.Contains(c.Message, text) {
				return false
			}
		}
		return true
	})
	return Condition(obj, "Ready")
}

// Gone waits until there is no such object.
func (w *World) Gone(key kube.Key) {
	w.tb.Helper()
	w.Until(key, "it is gone", func(obj *unstructured.Unstructured) bool { return obj == nil })
}

// There waits until there is such an object.
func (w *World) There(key kube.Key) *unstructured.Unstructured {
	w.tb.Helper()
	return w.Until(key, "it is there", func(obj *unstructured.Unstructured) bool { return obj != nil })
}

// Has waits until a field has a value; what Field makes of the path counts.
func (w *World) Has(key kube.Key, value string, path ...string) *unstructured.Unstructured {
	w.tb.Helper()
	return w.Until(key, strings.Join(path, ".")+" is "+value, func(obj *unstructured.Unstructured) bool {
		if obj == nil {
			return false
		}
		have, found := Field(obj.Object, path...)
		return found && fmt.Sprint(have) == value
	})
}

// Inventory is the ids in a Kustomization's inventory.
func Inventory(obj *unstructured.Unstructured) []string {
	entries, _, _ := unstructured.NestedSlice(obj.Object, "status", "inventory", "entries")
	var out []string
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		out = append(out, fmt.Sprint(entry["id"]))
	}
	return out
}

// Events are the events about an object, in order of time.
func (w *World) Events(key kube.Key) []unstructured.Unstructured {
	w.tb.Helper()
	r, err := w.resource(kinds["Event"], key.Namespace)
	if err != nil {
		w.tb.Fatal(err)
	}
	list, err := retry.Do(w.tb.Context(), func() (*unstructured.UnstructuredList, error) {
		return r.List(w.tb.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + key.Name + ",involvedObject.kind=" + key.GroupKind.Kind})
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return list.Items
}

// EventWith waits for an event about an object with a reason and a text.
func (w *World) EventWith(key kube.Key, reason, text string) *unstructured.Unstructured {
	w.tb.Helper()
	resource, err := w.resource(kinds["Event"], key.Namespace)
	if err != nil {
		w.tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.tb.Context(), patience)
	defer cancel()
	about := "involvedObject.name=" + key.Name + ",involvedObject.kind=" + key.GroupKind.Kind
	var found *unstructured.Unstructured
	var seen []string
	look := func(obj *unstructured.Unstructured) bool {
		have, message := fmt.Sprint(obj.Object["reason"]), fmt.Sprint(obj.Object["message"])
		seen = append(seen, have+": "+message)
		if have == reason && strings.Contains(message, text) {
			found = obj
		}
		return found != nil
	}
	err = follow(ctx, resource, about, func(objs []unstructured.Unstructured) bool {
		for i := range objs {
			look(&objs[i])
		}
		return found != nil
	}, func(_ watch.Event, obj *unstructured.Unstructured) bool { return look(obj) })
	if err != nil {
		w.tb.Fatalf("%s: no event %s with %q: %v; there were:\n%s", key, reason, text, err, strings.Join(seen, "\n"))
	}
	return found
}
