// Package api_test holds the Go types of every kind to the schemas: what the
// API server lets through, the types neither drop nor change.
package api_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/api/crds"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// kinds have one full sample each, testdata/<kind>.yaml.
var kinds = []schema.GroupVersionKind{
	sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.BucketKind),
	sourcev1.GroupVersion.WithKind(sourcev1.HelmRepositoryKind),
	sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind),
	sourcev1.GroupVersion.WithKind(sourcev1.ExternalArtifactKind),
	kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
	helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind),
	clusterconfigv1.GroupVersion.WithKind(clusterconfigv1.FluxConfigKind),
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
			s := definition(t, gvk).Spec.Versions[0].Schema.OpenAPIV3Schema
			for _, part := range []string{"spec", "status"} {
				for _, unset := range missing(part, s.Properties[part], want[part]) {
					t.Errorf("the sample does not set %s", unset)
				}
			}
			roundTrip(t, gvk, want)
		})
	}
}

// TestGeneratedObjectsSurviveRoundTrip tries objects made from the schema of each
// version that is served, with each optional field there or not. There is one Go
// type for all of them.
func TestGeneratedObjectsSurviveRoundTrip(t *testing.T) {
	t.Parallel()
	for _, gvk := range kinds {
		for _, version := range definition(t, gvk).Spec.Versions {
			t.Run(gvk.Kind+"/"+version.Name, func(t *testing.T) {
				t.Parallel()
				s := version.Schema.OpenAPIV3Schema
				for seed := range uint64(200) {
					g := generator{rand: rand.New(rand.NewPCG(seed, 0))}
					roundTrip(t, gvk, map[string]any{
						"apiVersion": gvk.Group + "/" + version.Name, "kind": gvk.Kind,
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
}

// TestOlderVersionsHaveTheStoredFields: what the API server stores, it prunes by
// the schema of the version in which it is asked for. So no version may have a
// field that another has not.
func TestOlderVersionsHaveTheStoredFields(t *testing.T) {
	t.Parallel()
	for _, gvk := range kinds {
		versions := definition(t, gvk).Spec.Versions
		for _, version := range versions {
			if version.Storage != (version.Name == gvk.Version) {
				t.Errorf("%s: %s: storage is %t", gvk, version.Name, version.Storage)
			}
			if diff := cmp.Diff(paths("", *versions[0].Schema.OpenAPIV3Schema), paths("", *version.Schema.OpenAPIV3Schema)); diff != "" {
				t.Errorf("%s: %s has other fields than what is stored:\n%s", gvk, version.Name, diff)
			}
		}
	}
}

// paths are those of all fields below a schema.
func paths(path string, s apiextensionsv1.JSONSchemaProps) []string {
	out := []string{path}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		out = append(out, paths(path+"."+name, s.Properties[name])...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		out = append(out, paths(path+"[]", *s.Items.Schema)...)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		out = append(out, paths(path+"{}", *s.AdditionalProperties.Schema)...)
	}
	return out
}

func roundTrip(t *testing.T, gvk schema.GroupVersionKind, want map[string]any) {
	t.Helper()
	known, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	typed, err := known.New(gvk)
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
	want, got = normal(t, want), normal(t, got)
	if !reflect.DeepEqual(want, got) { // many times faster than cmp
		t.Errorf("%s: lost (-) or made up (+):\n%s", gvk.Kind, cmp.Diff(want, got))
	}
}

// scheme knows all kinds in the version that is stored.
var scheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{sourcev1.AddToScheme, kustomizev1.AddToScheme, helmv2.AddToScheme, clusterconfigv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return s, nil
})

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

// definition is that of a kind in the version that is stored.
func definition(t *testing.T, gvk schema.GroupVersionKind) apiextensionsv1.CustomResourceDefinition {
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
		if crd.Spec.Group == gvk.Group && crd.Spec.Names.Kind == gvk.Kind && crd.Spec.Versions[0].Name == gvk.Version {
			return crd
		}
	}
	t.Fatalf("no definition of %s", gvk)
	return apiextensionsv1.CustomResourceDefinition{}
}
