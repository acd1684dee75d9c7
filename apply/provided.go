package apply

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// stages is how many stages a plan has: the last is for objects of API groups
// that an APIService of the same set makes the cluster serve.
const (
	stages    = kube.Stages + 1
	lastStage = stages - 1
)

// provided is what the definitions and API services of a set make possible.
type provided struct {
	kinds  map[schema.GroupKind]bool
	groups map[schema.GroupVersion]bool
}

func provides(objects []*unstructured.Unstructured) provided {
	p := provided{kinds: map[schema.GroupKind]bool{}, groups: map[schema.GroupVersion]bool{}}
	for _, obj := range objects {
		group, _, _ := unstructured.NestedString(obj.Object, "spec", "group")
		switch gk := obj.GroupVersionKind().GroupKind(); {
		case isDefinition(gk):
			kind, _, _ := unstructured.NestedString(obj.Object, "spec", "names", "kind")
			p.kinds[schema.GroupKind{Group: group, Kind: kind}] = true
		case isService(gk):
			version, _, _ := unstructured.NestedString(obj.Object, "spec", "version")
			p.groups[schema.GroupVersion{Group: group, Version: version}] = true
		}
	}
	return p
}

// stage is that of a kind which the cluster does not serve yet, and whether it
// will once the set is applied so far.
func (p provided) stage(gvk schema.GroupVersionKind) (int, bool) {
	if p.kinds[gvk.GroupKind()] {
		return kube.Stage(gvk.GroupKind()), true
	}
	return lastStage, p.groups[gvk.GroupVersion()]
}

func isDefinition(gk schema.GroupKind) bool {
	return gk.Group == "apiextensions.k8s.io" && gk.Kind == "CustomResourceDefinition"
}

func isService(gk schema.GroupKind) bool {
	return gk.Group == "apiregistration.k8s.io" && gk.Kind == "APIService"
}
