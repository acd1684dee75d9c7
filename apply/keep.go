package apply

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// Keep tells whether objects, of which the unit wants what it wanted at its last write
// of them, are as that left them: then a Request needs no more of them than their keys,
// which come back as the cluster has them. Namespaces of kinds without one are dropped.
func (a *Applier) Keep(unit live.User, keys []kube.Key, written map[kube.Key]Written) ([]kube.Key, bool) {
	namespaced := map[schema.GroupVersionKind]bool{}
	out := make([]kube.Key, len(keys))
	for i, key := range keys {
		gvk := key.GVK()
		scoped, asked := namespaced[gvk]
		if !asked {
			m, err := a.Cluster.Mapping(gvk)
			if err != nil {
				return nil, false
			}
			scoped = m.Scope.Name() == meta.RESTScopeNameNamespace
			namespaced[gvk] = scoped
		}
		if !scoped {
			key.Namespace = ""
		}
		w := written[key]
		r, known := a.View.Get(unit.Kind, key)
		if r.Owner != unit || !untouched(w.Desired, w, r, known) {
			return nil, false
		}
		out[i] = key
	}
	return out, true
}

// Steers tells whether there are objects among these by which it is decided what is sent
// of others: autoscalers (wish), definitions and API services (provides).
func Steers(objects []*unstructured.Unstructured) bool {
	return slices.ContainsFunc(objects, func(obj *unstructured.Unstructured) bool {
		gk := obj.GroupVersionKind().GroupKind()
		return isAutoscaler(gk) || isDefinition(gk) || isService(gk)
	})
}
