// Package api_test holds the Go types of every kind to the schemas: what the
// API server lets through, the types neither drop nor change.
package api_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/api/crds"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// kinds have one full sample each, testdata/<kind>.yaml.
var kinds = []schema.GroupVersionKind{
	sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind),
	kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
}

// TestSampleSurvivesRoundTrip reads a manifest that sets every field, as a user
// would write it, strictly.
func TestSampleSurvivesRoundTrip(t *testing.T) {
	t.Parallel()
	for _, gvk := range kinds {
		t.Run(gvk.Kind, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join("testdata", strings.ToLower(gvk.Kind)+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{}
			if err := yaml.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			s := schemaOf(t, gvk)
			for _, part := range []string{"spec", "status"} {
				for _, unset := range missing(part, s.Properties[part], want[part]) {
					t.Errorf("the sample does not set %s", unset)
				}
			}
			roundTrip(t, gvk, want)
		})
	}
}

// TestGeneratedObjectsSurviveRoundTrip tries objects made from the schema, with
// each optional field there or not.
func TestGeneratedObjectsSurviveRoundTrip(t *testing.T) {
	t.Parallel()
	for _, gvk := range kinds {
		t.Run(gvk.Kind, func(t *testing.T) {
			t.Parallel()
			s := schemaOf(t, gvk)
			for seed := range uint64(200) {
				g := generator{rand: rand.New(rand.NewPCG(seed, 0))}
				roundTrip(t, gvk, map[string]any{
					"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind,
					"metadata": map[string]any{"name": "generated"},
					"spec":     g.value(s.Properties["spec"]),
					"status":   g.value(s.Properties["status"]),
				})
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func roundTrip(t *testing.T, gvk schema.GroupVersionKind, want map[string]any) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{sourcev1.AddToScheme, kustomizev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	typed, err := scheme.New(gvk)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(raw, typed); err != nil {
		t.Fatal(err)
	}
	// A copy must be whole too.
	raw, err = json.Marshal(typed.DeepCopyObject())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	unstructured.RemoveNestedField(got, "metadata", "creationTimestamp")
	if diff := cmp.Diff(normal(t, want), normal(t, got)); diff != "" {
		t.Errorf("%s: lost (-) or made up (+):\n%s", gvk.Kind, diff)
	}
}

// normal is the value as plain JSON has it, so that all numbers are of one type.
func normal(t *testing.T, value map[string]any) (out map[string]any) {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func schemaOf(t *testing.T, gvk schema.GroupVersionKind) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	all, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range all {
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &crd); err != nil {
			t.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			if crd.Spec.Group == gvk.Group && crd.Spec.Names.Kind == gvk.Kind && v.Name == gvk.Version {
				return *v.Schema.OpenAPIV3Schema
			}
		}
	}
	t.Fatalf("no definition of %s", gvk)
	return apiextensionsv1.JSONSchemaProps{}
}
