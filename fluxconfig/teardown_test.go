package fluxconfig_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

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
		fc.Name, fc.Namespace, fc.Spec.Scope, fc.Finalizers = name, namespace, scope, []string{clusterconfigv1.Finalizer}
		if deleted {
			now := metav1.Now()
			fc.DeletionTimestamp = &now
		}
		return fc
	}
	done := of("b", "team", "cluster", true)
	done.Finalizers = []string{"example.com/other"}
	consents := of("b", "team", "namespace", false)
	consents.Annotations = map[string]string{clusterconfigv1.MixedScopesAnnotation: "true"}
	const all = "ClusterRoleBinding/flux-applier-binding-team ServiceAccount/flux-applier"
	for _, c := range []struct {
		name   string
		others []clusterconfigv1.FluxConfig
		want   string
	}{
		{"the last one", nil, all},
		{"itself", []clusterconfigv1.FluxConfig{of("fleet", "team", "cluster", true)}, all},
		{"another namespace", []clusterconfigv1.FluxConfig{of("b", "other", "cluster", false)}, all},
		{"one that goes as well, and is still at it", []clusterconfigv1.FluxConfig{of("b", "team", "cluster", true)}, ""},
		{"one that is taken down, and waits for somebody else", []clusterconfigv1.FluxConfig{done}, all},
		{"one with the same rights", []clusterconfigv1.FluxConfig{of("b", "team", "cluster", false)}, ""},
		{"one with other rights", []clusterconfigv1.FluxConfig{consents}, "ClusterRoleBinding/flux-applier-binding-team"},
	} {
		mine := of("fleet", "team", "cluster", true)
		if got := namesOf(fluxconfig.Unneeded(&mine, c.others)); got != c.want {
			t.Errorf("%s: %q goes, want %q", c.name, got, c.want)
		}
	}
}

// TestRefusal: two scopes in one namespace would be one, so the first stays.
func TestRefusal(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	of := func(name, scope string, second int) clusterconfigv1.FluxConfig {
		fc := clusterconfigv1.FluxConfig{}
		fc.Name, fc.Namespace, fc.Spec.Scope, fc.CreationTimestamp = name, "team", scope, metav1.NewTime(begun.Add(time.Duration(second)*time.Second))
		return fc
	}
	with := func(fc clusterconfigv1.FluxConfig, change func(*clusterconfigv1.FluxConfig)) clusterconfigv1.FluxConfig {
		change(&fc)
		return fc
	}
	elsewhere := func(fc *clusterconfigv1.FluxConfig) { fc.Namespace = "other" }
	effective := func(fc *clusterconfigv1.FluxConfig) { fc.Status.LastConfigUpdateTime = &metav1.Time{Time: begun} }
	consents := func(fc *clusterconfigv1.FluxConfig) {
		fc.Annotations = map[string]string{clusterconfigv1.MixedScopesAnnotation: "true"}
	}
	goes := func(fc *clusterconfigv1.FluxConfig) {
		fc.DeletionTimestamp, fc.Finalizers = &metav1.Time{Time: begun}, []string{clusterconfigv1.Finalizer}
	}
	for _, c := range []struct {
		name    string
		of      clusterconfigv1.FluxConfig
		others  []clusterconfigv1.FluxConfig
		because string // the one that it is refused for
	}{
		{"alone", of("b", "cluster", 1), nil, ""},
		{"beside itself", of("b", "cluster", 1), []clusterconfigv1.FluxConfig{of("b", "cluster", 1)}, ""},
		{"of the same scope", of("b", "cluster", 1), []clusterconfigv1.FluxConfig{of("a", "cluster", 0)}, ""},
		{"a wider one that comes later", of("b", "cluster", 1), []clusterconfigv1.FluxConfig{of("a", "namespace", 0)}, "a"},
		{"a narrower one that comes later", of("b", "namespace", 1), []clusterconfigv1.FluxConfig{of("a", "cluster", 0)}, "a"},
		{"the one that came first", of("b", "cluster", 0), []clusterconfigv1.FluxConfig{of("a", "namespace", 1)}, ""},
		{"in the same second, by name", of("b", "cluster", 0), []clusterconfigv1.FluxConfig{of("a", "namespace", 0)}, "a"},
		{"in the same second, in effect already", with(of("b", "cluster", 0), effective), []clusterconfigv1.FluxConfig{of("a", "namespace", 0)}, ""},
		{"of another namespace", of("b", "cluster", 1), []clusterconfigv1.FluxConfig{with(of("a", "namespace", 0), elsewhere)}, ""},
		{"with consent", with(of("b", "cluster", 1), consents), []clusterconfigv1.FluxConfig{of("a", "namespace", 0)}, ""},
		{"beside one that goes", of("b", "cluster", 1), []clusterconfigv1.FluxConfig{with(of("a", "namespace", 0), goes)}, "a"},
		{"beside one that is refused", of("c", "cluster", 2), []clusterconfigv1.FluxConfig{of("b", "namespace", 1), of("a", "cluster", 0)}, ""},
		{"beside both", of("c", "namespace", 2), []clusterconfigv1.FluxConfig{with(of("b", "cluster", 1), consents), of("a", "namespace", 0)}, "b"},
	} {
		err := fluxconfig.Refusal(&c.of, c.others)
		if (err != nil) != (c.because != "") || err != nil && !strings.Contains(err.Error(), "FluxConfig/"+c.because+" in the same namespace") {
			t.Errorf("%s: %v, want one because of %q", c.name, err, c.because)
		}
	}
}

func TestDeletionPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, spec string
		forced     bool
		want       string
	}{
		{"Kustomization", "{prune: true}", false, "WaitForTermination"},
		{"Kustomization", "{prune: true, deletionPolicy: MirrorPrune}", false, "WaitForTermination"},
		{"Kustomization", "{prune: true, deletionPolicy: Orphan}", false, ""},
		{"Kustomization", "{prune: true, suspend: true}", false, ""},
		{"Kustomization", "{prune: false}", false, ""},
		{"Kustomization", "{prune: true}", true, "Orphan"},
		{"Kustomization", "{deletionPolicy: Orphan}", true, ""},
		{"GitRepository", "{}", true, ""},
	} {
		obj := &unstructured.Unstructured{Object: map[string]any{}}
		spec := map[string]any{}
		if err := yaml.Unmarshal([]byte(c.spec), &spec); err != nil {
			t.Fatal(err)
		}
		obj.Object["spec"] = spec
		obj.SetKind(c.kind)
		if got := fluxconfig.DeletionPolicy(obj, c.forced); got != c.want {
			t.Errorf("%s with %s, by force %t: %q, want %q", c.kind, c.spec, c.forced, got, c.want)
		}
	}
}
