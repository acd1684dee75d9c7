package fluxconfig_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

func namesOf(objects []*unstructured.Unstructured) string {
	var out []string
	for _, obj := range objects {
		out = append(out, obj.GetKind()+"/"+obj.GetName())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestTeardown takes a configuration down as if everything went at once.
func TestTeardown(t *testing.T) {
	t.Parallel()
	fc := config(t, "{scope: cluster, sourceKind: Bucket, bucket: {url: 'https://h', bucketName: b, accessKey: a}, kustomizations: [{name: infra}, {name: apps, dependsOn: [infra]}, {name: more, dependsOn: [infra]}]}")
	present, err := fluxconfig.Generate(fc, fluxconfig.Inputs{Protected: map[string][]byte{"bucketSecretKey": []byte("k")}})
	if err != nil {
		t.Fatal(err)
	}
	present = fluxconfig.Left(present, fluxconfig.Unneeded(fc, nil)) // what belongs to it alone
	for _, want := range []string{"Kustomization/fleet-apps Kustomization/fleet-more", "Kustomization/fleet-infra", "Bucket/fleet", "Secret/fleet-auth", ""} {
		next := fluxconfig.Next(present)
		if got := namesOf(next); got != want {
			t.Fatalf("next goes %q, want %q", got, want)
		}
		present = fluxconfig.Left(present, next)
	}
}

func TestTeardownOfACycleEnds(t *testing.T) {
	t.Parallel()
	var present []*unstructured.Unstructured
	for name, need := range map[string]string{"a": "b", "b": "a"} {
		obj := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"dependsOn": []any{map[string]any{"name": need}}}}}
		obj.SetKind("Kustomization")
		obj.SetName(name)
		present = append(present, obj)
	}
	if got := namesOf(fluxconfig.Next(present)); got != "Kustomization/a Kustomization/b" {
		t.Errorf("next goes %q", got)
	}
}

func TestUnneeded(t *testing.T) {
	t.Parallel()
	of := func(name, namespace, scope string, deleted bool) clusterconfigv1.FluxConfig {
		fc := clusterconfigv1.FluxConfig{}
		fc.Name, fc.Namespace, fc.Spec.Scope = name, namespace, scope
		if deleted {
			now := metav1.Now()
			fc.DeletionTimestamp = &now
		}
		return fc
	}
	const all = "ClusterRoleBinding/flux-applier-binding-team ServiceAccount/flux-applier"
	for _, c := range []struct {
		name   string
		others []clusterconfigv1.FluxConfig
		want   string
	}{
		{"the last one", nil, all},
		{"itself", []clusterconfigv1.FluxConfig{of("fleet", "team", "cluster", true)}, all},
		{"another namespace", []clusterconfigv1.FluxConfig{of("b", "other", "cluster", false)}, all},
		{"one that goes as well", []clusterconfigv1.FluxConfig{of("b", "team", "cluster", true)}, all},
		{"one with the same rights", []clusterconfigv1.FluxConfig{of("b", "team", "cluster", false)}, ""},
		{"one with other rights", []clusterconfigv1.FluxConfig{of("b", "team", "namespace", false)}, "ClusterRoleBinding/flux-applier-binding-team"},
	} {
		mine := of("fleet", "team", "cluster", true)
		if got := namesOf(fluxconfig.Unneeded(&mine, c.others)); got != c.want {
			t.Errorf("%s: %q goes, want %q", c.name, got, c.want)
		}
	}
}
