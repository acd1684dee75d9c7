// Package crds holds the CustomResourceDefinitions, generated from the Go types.
package crds

import (
	"embed"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

//go:embed *.yaml
var files embed.FS

// All returns every definition with its older versions, sorted by file name.
func All() ([]*unstructured.Unstructured, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for _, entry := range entries {
		raw, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(raw, &obj.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		unstructured.RemoveNestedField(obj.Object, "metadata", "creationTimestamp")
		if err := addOlder(obj); err != nil {
			return nil, err
		}
		out = append(out, obj)
	}
	return out, nil
}
