package build_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/source"
)

func TestBuildsAreTheSameTogetherAsAlone(t *testing.T) {
	t.Parallel()
	all := archives(t)
	alone := map[string]string{}
	for _, a := range all {
		result, err := build.Kustomization(t.Context(), a.tree, a.spec)
		if err != nil {
			t.Fatal(err)
		}
		alone[a.name] = text(t, result)
	}
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := range all {
				a := all[(i*7+worker)%len(all)]
				result, err := build.Kustomization(t.Context(), a.tree, a.spec)
				if err != nil {
					t.Errorf("%s: %v", a.name, err)
				} else if text(t, result) != alone[a.name] {
					t.Errorf("%s came out differently", a.name)
				}
			}
		})
	}
	running.Wait()
}

// TestSchemaOfOneDoesNotReachAnother: the list that is merged by name where a
// kustomization says so is replaced where none does.
func TestSchemaOfOneDoesNotReachAnother(t *testing.T) {
	t.Parallel()
	for _, a := range archives(t) {
		if a.name != "testdata/schema_of_its_own.txtar" {
			continue
		}
		if _, err := build.Kustomization(t.Context(), a.tree, a.spec); err != nil {
			t.Fatal(err)
		}
		a.tree["kustomization.yaml"] = "resources: [thing.yaml]\npatches: [{patch: '{apiVersion: example.com/v1, kind: Thing, metadata: {name: one}, spec: {parts: [{name: b}]}}'}]"
		result, err := build.Kustomization(t.Context(), a.tree, a.spec)
		if err != nil {
			t.Fatal(err)
		}
		parts, _, err := unstructured.NestedSlice(result.Objects[0].Object, "spec", "parts")
		if err != nil || fmt.Sprint(parts) != "[map[name:b]]" {
			t.Errorf("got %v, error %v", parts, err)
		}
	}
}

func TestCancelledBuildSaysNothingAboutTheContent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tree := source.MemoryTree{"a.yaml": configMap}
	result, err := build.Kustomization(ctx, tree, build.Spec{})
	var content *build.Error
	if !errors.Is(err, context.Canceled) || errors.As(err, &content) {
		t.Errorf("got %v", err)
	}
	if result.Reads.Unchanged(tree) {
		t.Error("would not be tried again")
	}
}

func TestBasesThatMultiplyAreBounded(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{"b0/kustomization.yaml": "namePrefix: x-"}
	for i := range 12 {
		tree[fmt.Sprintf("b%d/kustomization.yaml", i+1)] = "resources: [l, r]"
		for _, side := range []string{"l", "r"} {
			tree[fmt.Sprintf("b%d/%s/kustomization.yaml", i+1, side)] = fmt.Sprintf("resources: [../../b%d]", i)
		}
	}
	_, err := build.Kustomization(t.Context(), tree, build.Spec{Path: "b12"})
	const want = "b0: is used more than 1000 times by one kustomization; see whether its bases use each other"
	if fmt.Sprint(err) != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

func TestPathForms(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{"a/b/c.yaml": configMap}
	for _, path := range []string{"a/b", "./a/b", "/a/b", "a/b/", "./a/../a/b/.", "a//b", "", ".", "/", "./"} {
		result, err := build.Kustomization(t.Context(), tree, build.Spec{Path: path})
		if err != nil || len(result.Objects) != 1 {
			t.Errorf("%q: %v, error %v", path, result.Objects, err)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	object := func(content map[string]any) string { return build.Hash(&unstructured.Unstructured{Object: content}) }
	a := object(map[string]any{"kind": "A", "spec": map[string]any{"x": int64(1), "y": "z"}})
	b := object(map[string]any{"spec": map[string]any{"y": "z", "x": int64(1)}, "kind": "A"})
	c := object(map[string]any{"spec": map[string]any{"y": "z", "x": "1"}, "kind": "A"})
	if a != b || a == c || len(a) != 64 {
		t.Errorf("got %s, %s, %s", a, b, c)
	}
}

func FuzzKustomization(f *testing.F) {
	for _, a := range archives(f) {
		manifest := configMap
		for name, content := range a.tree {
			if name != "kustomization.yaml" {
				manifest = content
			}
		}
		f.Add(a.tree["kustomization.yaml"], manifest)
	}
	f.Add("resources: [a.yaml]\npatches: [{path: a.yaml}]\nreplicas: [{name: a, count: 3}]", deployment)
	f.Add("resources: [a.yaml]\ntransformers: [a.yaml]\ncrds: [a.yaml]\nopenapi: {path: a.yaml}", "")
	f.Add("resources: [a.yaml]\nvars: [{name: A, objref: {kind: ConfigMap, name: a, apiVersion: v1}}]", configMap)
	f.Fuzz(func(t *testing.T, kustomization, manifest string) {
		tree := source.MemoryTree{"kustomization.yaml": kustomization, "a.yaml": manifest}
		result, err := build.Kustomization(t.Context(), tree, build.Spec{})
		var content *build.Error
		if err != nil && !errors.As(err, &content) {
			t.Errorf("%v is no *build.Error", err)
		}
		if !result.Reads.Unchanged(tree) {
			t.Error("the read set is changed in the tree that it was made of")
		}
		for _, obj := range result.Objects {
			if obj.GetKind() == "" || obj.GetAPIVersion() == "" || obj.GetName() == "" {
				t.Errorf("object without a name: %v", obj)
			}
			obj.DeepCopy() // panics on what no API object holds
			build.Hash(obj)
		}
	})
}
