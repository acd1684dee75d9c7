package apply

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// provided is what the definitions of a set make possible.
type provided struct {
	kinds map[schema.GroupKind]bool
}

func provides(objects []*unstructured.Unstructured) provided {
	p := provided{kinds: map[schema.GroupKind]bool{}}
	for _, obj := range objects {
		if isDefinition(obj.GroupVersionKind().GroupKind()) {
			group, _, _ := unstructured.NestedString(obj.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(obj.Object, "spec", "names", "kind")
			p.kinds[schema.GroupKind{Group: group, Kind: kind}] = true
		}
	}
	return p
}

func isDefinition(gk schema.GroupKind) bool {
	return gk.Group == "apiextensions.k8s.io" && gk.Kind == "CustomResourceDefinition"
}
