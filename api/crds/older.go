package crds

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Older versions are served from what is stored: the API server only changes the
// apiVersion (conversion strategy None). So their schemas are the stored one, in
// which the fields that only they have are declared too, but for the rules in
// which they differ.

// older is an older version of a kind.
type older struct {
	name  string
	edits []edit
}

// edit changes one node of the stored schema.
type edit struct {
	path string         // of fields, "spec.a.b"; "[]" behind a name for the items of a list
	set  map[string]any // keywords of JSON schema
	drop []string
}

// The edits that are in use.
func enum(path string, values ...any) edit {
	return edit{path: path, set: map[string]any{"enum": values}}
}

func required(path string, fields ...any) edit {
	return edit{path: path, set: map[string]any{"required": fields}}
}

func without(keyword string, paths ...string) []edit {
	edits := make([]edit, len(paths))
	for i, path := range paths {
		edits[i] = edit{path: path, drop: []string{keyword}}
	}
	return edits
}

const rules = "x-kubernetes-validations"

// versions are the older versions of each definition.
var versions = map[string][]older{
	"kustomizations.kustomize.toolkit.fluxcd.io": {
		{"v1beta2", append(without(rules, "spec.kubeConfig"),
			required("spec.kubeConfig", "secretRef"),
			enum("spec.sourceRef.kind", "OCIRepository", "GitRepository", "Bucket"),
		)},
		{"v1beta1", slices.Concat(
			without(rules, "spec.kubeConfig"),
			without("pattern", "spec.interval", "spec.retryInterval", "spec.timeout"),
			[]edit{
				required("spec.kubeConfig", "secretRef"),
				enum("spec.sourceRef.kind", "GitRepository", "Bucket"),
			},
		)},
	},
}

// addOlder adds the older versions to a definition.
func addOlder(definition *unstructured.Unstructured) error {
	list, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil || len(list) == 0 {
		return fmt.Errorf("%s: no versions: %w", definition.GetName(), err)
	}
	stored, _ := list[0].(map[string]any)
	for _, version := range versions[definition.GetName()] {
		next := runtime.DeepCopyJSON(stored)
		next["name"], next["storage"] = version.name, false
		next["deprecated"] = true
		schema, _, _ := unstructured.NestedMap(next, "schema", "openAPIV3Schema")
		for _, e := range version.edits {
			if err := e.apply(schema); err != nil {
				return fmt.Errorf("%s, %s: %w", definition.GetName(), version.name, err)
			}
		}
		next["schema"] = map[string]any{"openAPIV3Schema": schema}
		list = append(list, next)
	}
	return unstructured.SetNestedSlice(definition.Object, list, "spec", "versions")
}

// apply changes the node in place.
func (e edit) apply(schema map[string]any) error {
	node := schema
	for name := range strings.SplitSeq(e.path, ".") {
		name, items := strings.CutSuffix(name, "[]")
		fields, _ := node["properties"].(map[string]any)
		next, ok := fields[name].(map[string]any)
		if ok && items {
			next, ok = next["items"].(map[string]any)
		}
		if !ok {
			return fmt.Errorf("the stored schema has no field %s", e.path)
		}
		node = next
	}
	maps.Copy(node, e.set)
	for _, keyword := range e.drop {
		delete(node, keyword)
	}
	return nil
}
