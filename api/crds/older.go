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
	name    string
	ageLast bool // the printed column Age comes last
	edits   []edit
}

// edit changes one node of the stored schema.
type edit struct {
	path string         // of fields, "spec.a.b"; "[]" behind a name for the items of a list
	set  map[string]any // keywords of JSON schema
	drop []string
	// rules is how many of the validation rules stay, from the first, where set.
	rules *int
}

// The edits that are in use.
func enum(path string, values ...any) edit {
	return edit{path: path, set: map[string]any{"enum": values}}
}

func required(path string, fields ...any) edit {
	return edit{path: path, set: map[string]any{"required": fields}}
}

func defaulted(path string, value any) edit {
	return edit{path: path, set: map[string]any{"default": value}}
}

func without(keyword string, paths ...string) []edit {
	edits := make([]edit, len(paths))
	for i, path := range paths {
		edits[i] = edit{path: path, drop: []string{keyword}}
	}
	return edits
}

func firstRules(path string, n int) edit { return edit{path: path, rules: &n} }

const rules = "x-kubernetes-validations"

// addOlder adds the older versions to a definition.
func addOlder(definition *unstructured.Unstructured) error {
	list, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	if err != nil || len(list) == 0 {
		return fmt.Errorf("%s: no versions: %w", definition.GetName(), err)
	}
	stored, _ := list[0].(map[string]any)
	for _, version := range versions[definition.GetName()] {
		next, err := version.from(stored)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", definition.GetName(), version.name, err)
		}
		list = append(list, next)
	}
	return unstructured.SetNestedSlice(definition.Object, list, "spec", "versions")
}

// from makes the older version out of the stored one.
func (o older) from(stored map[string]any) (map[string]any, error) {
	next := runtime.DeepCopyJSON(stored)
	next["name"], next["storage"] = o.name, false
	next["deprecated"] = true
	schema, _, _ := unstructured.NestedMap(next, "schema", "openAPIV3Schema")
	for _, e := range o.edits {
		if err := e.apply(schema); err != nil {
			return nil, err
		}
	}
	next["schema"] = map[string]any{"openAPIV3Schema": schema}
	if columns, ok := next["additionalPrinterColumns"].([]any); ok && o.ageLast {
		slices.SortStableFunc(columns, func(a, b any) int { return isAge(a) - isAge(b) })
	}
	return next, nil
}

func isAge(column any) int {
	if c, ok := column.(map[string]any); ok && c["name"] == "Age" {
		return 1
	}
	return 0
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
	if e.rules != nil {
		all, _ := node[rules].([]any)
		if len(all) < *e.rules {
			return fmt.Errorf("%s has %d rules, not %d", e.path, len(all), *e.rules)
		}
		node[rules] = all[:*e.rules]
	}
	return nil
}
