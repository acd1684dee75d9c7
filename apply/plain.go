package apply

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// The kinds whose rules are all here: those of core/v1 that the API server checks for a
// ConfigMap and an opaque Secret (k8s.io/kubernetes, pkg/apis/core/validation:
// ValidateConfigMap, ValidateSecret), by the same functions where they are published.
// An object that these rules refuse is no error yet: the dry run says what is wrong.

// dataBytes is how much data a ConfigMap or a Secret may have (core/v1, MaxSecretSize).
const dataBytes = 1 << 20

// plainKinds are the kinds, with the fields that they may have beside those of each
// object and how the values in them are written.
var plainKinds = map[schema.GroupVersionKind]map[string]func(string) (int, bool){
	{Version: "v1", Kind: "ConfigMap"}: {"data": text, "binaryData": encoded},
	{Version: "v1", Kind: "Secret"}:    {"data": encoded},
}

func text(value string) (int, bool) { return len(value), true }

func encoded(value string) (int, bool) {
	raw, err := base64.StdEncoding.DecodeString(value)
	return len(raw), err == nil
}

// plain tells whether an object is of such a kind, and right by its rules.
func plain(obj *unstructured.Unstructured) bool {
	fields, ok := plainKinds[obj.GroupVersionKind()]
	if !ok || !plainMetadata(obj) {
		return false
	}
	seen, size := map[string]bool{}, 0
	for name, value := range obj.Object {
		switch measure := fields[name]; {
		case name == "apiVersion" || name == "kind" || name == "metadata":
		case name == "immutable":
			if _, ok := value.(bool); !ok {
				return false
			}
		case name == "type" && obj.GetKind() == "Secret":
			if value != "Opaque" {
				return false // the others have rules of their own
			}
		case measure == nil:
			return false
		default:
			n, ok := plainData(value, measure, seen)
			if size += n; !ok || size > dataBytes {
				return false
			}
		}
	}
	return true
}

// plainData measures a map of values; no key may be in two of them.
func plainData(value any, measure func(string) (int, bool), seen map[string]bool) (size int, ok bool) {
	data, ok := value.(map[string]any)
	if !ok {
		return 0, false
	}
	for key, value := range data {
		text, isText := value.(string)
		if !isText || seen[key] || len(utilvalidation.IsConfigMapKey(key)) > 0 {
			return 0, false
		}
		seen[key] = true
		n, ok := measure(text)
		if !ok {
			return 0, false
		}
		size += n
	}
	return size, true
}

// plainMetadata tells whether an object has nothing but names, labels and annotations,
// and none that steers how it is applied.
func plainMetadata(obj *unstructured.Unstructured) bool {
	metadata, ok := obj.Object["metadata"].(map[string]any)
	if !ok || slices.ContainsFunc(slices.Collect(maps.Keys(metadata)), func(name string) bool {
		return !slices.Contains([]string{"name", "namespace", "labels", "annotations"}, name)
	}) {
		return false
	}
	labels, _, errL := unstructured.NestedStringMap(obj.Object, "metadata", "labels")
	annotations, _, errA := unstructured.NestedStringMap(obj.Object, "metadata", "annotations")
	if errL != nil || errA != nil {
		return false
	}
	for _, texts := range []map[string]string{labels, annotations} {
		for name := range texts {
			if strings.Contains(name, "toolkit.fluxcd.io/") && name != kustomizev1.NameLabel && name != kustomizev1.NamespaceLabel {
				return false
			}
		}
	}
	own := &metav1.ObjectMeta{Name: obj.GetName(), Namespace: obj.GetNamespace(), Labels: labels, Annotations: annotations}
	return len(validation.ValidateObjectMeta(own, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))) == 0
}
