package scenario_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/api/crds"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

// sample makes valid manifests of one version out of a kind's full sample, in
// which some fields exclude each other.
type sample struct {
	without []string
	set     map[string]any
}

// samples are those of a kind and version; together they set every field of the
// contract. A version that is not named takes the full sample.
var samples = map[string][]sample{
	"Bucket/v1": {
		{without: []string{"spec.serviceAccountName"}},
		{
			without: []string{"spec.secretRef", "spec.sts.secretRef", "spec.sts.certSecretRef"},
			set:     map[string]any{"spec.provider": "aws", "spec.sts.provider": "aws"},
		},
	},
	"GitRepository/v1beta2": {{set: map[string]any{"spec.verify.mode": "head"}}},
	"GitRepository/v1beta1": {{set: map[string]any{"spec.verify.mode": "head"}}},
	"HelmRelease/v2": {
		{without: []string{"spec.chart", "spec.kubeConfig.configMapRef"}},
		{without: []string{"spec.chartRef", "spec.kubeConfig.secretRef"}},
	},
	// With both charts, as only v2beta1 allows it, the engine can change an object
	// only if it has no values: those have no schema, and where there is such a field
	// the API server cannot tell that a spec stayed as it was.
	"HelmRelease/v2beta1": {{without: []string{"spec.chartRef"}}, {without: []string{"spec.values", "spec.postRenderers"}}},
	"HelmRelease/v2beta2": {{without: []string{"spec.chart"}}, {without: []string{"spec.chartRef"}}},
	"Kustomization/v1":    {{without: []string{"spec.kubeConfig.configMapRef"}}, {without: []string{"spec.kubeConfig.secretRef"}}},
}

// TestEveryVersionKeepsEveryField writes every field that a version has, through
// that version, strictly, and reads it back in each version that is served.
func TestEveryVersionKeepsEveryField(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	for kind, versions := range served(t) {
		if kind.Group == "clusterconfig.azure.com" {
			continue // no contract of the toolkit: package crds holds it to Azure's properties
		}
		for _, version := range versions {
			gvk := kind.WithVersion(version)
			t.Run(gvk.Kind+"/"+version, func(t *testing.T) {
				t.Parallel()
				contract := contractOf(t, gvk)
				set := map[string]bool{}
				variants := samples[gvk.Kind+"/"+version]
				if variants == nil {
					variants = []sample{{}}
				}
				for i, variant := range variants {
					obj := variant.of(t, gvk, contract, set)
					obj.SetNamespace(w.NS)
					obj.SetName(fmt.Sprintf("%s-%s-%d", strings.ToLower(gvk.Kind), version, i))
					keeps(t, w, obj, versions)
				}
				for path := range contract {
					if !set[path] {
						t.Errorf("no sample sets %s", path)
					}
				}
			})
		}
	}
}

// keeps creates the object with its status, has the engine's version touch it,
// and wants it back as it was in every version.
func keeps(t *testing.T, w *scenario.World, obj *unstructured.Unstructured, versions []string) {
	t.Helper()
	own := resource(t, w, obj.GroupVersionKind())
	created, err := own.Create(t.Context(), obj, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	created.Object["status"] = obj.Object["status"]
	if _, err := own.UpdateStatus(t.Context(), created, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
		t.Fatal(err)
	}
	touch(t, resource(t, w, obj.GroupVersionKind().GroupKind().WithVersion(versions[0])), obj.GetName(), "/status/conditions/-", condition)
	for _, version := range versions {
		got, err := resource(t, w, obj.GroupVersionKind().GroupKind().WithVersion(version)).Get(t.Context(), obj.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"spec", "status"} {
			for _, loss := range lost(part, obj.Object[part], got.Object[part]) {
				t.Errorf("%s: written as %s, read as %s: %s", obj.GetName(), obj.GetAPIVersion(), version, loss)
			}
		}
	}
}

// condition is one that the engine adds.
const condition = `{"type":"Touched","status":"True","reason":"Test","message":"","lastTransitionTime":"2026-01-02T03:04:06Z"}`

// touch changes an object as the engine does: its metadata, then its status.
func touch(t *testing.T, r dynamic.ResourceInterface, name, path, value string) {
	t.Helper()
	if _, err := r.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"touched":"yes"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	patch := fmt.Sprintf(`[{"op":"add","path":%q,"value":%s}]`, path, value)
	if _, err := r.Patch(t.Context(), name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// lax are manifests that an older version accepts, and the newest does not.
var lax = map[string]string{
	"GitRepository without keys": `
apiVersion: source.toolkit.fluxcd.io/v1beta1
kind: GitRepository
metadata: {name: lax-git}
spec: {url: "https://git.example.com/a.git", interval: 1m, timeout: 1h, gitImplementation: libgit2, verify: {mode: head}}`,
	"Bucket with a long timeout": `
apiVersion: source.toolkit.fluxcd.io/v1beta1
kind: Bucket
metadata: {name: lax-bucket}
spec: {provider: gcp, bucketName: a, endpoint: storage.example.com, interval: 1m, timeout: 1h}`,
	"HelmRepository elsewhere": `
apiVersion: source.toolkit.fluxcd.io/v1beta1
kind: HelmRepository
metadata: {name: lax-helm}
spec: {url: "s3://charts", interval: 1m, timeout: 1h}`,
	"HelmChart with a sign": `
apiVersion: source.toolkit.fluxcd.io/v1beta1
kind: HelmChart
metadata: {name: lax-chart}
spec: {chart: ./web, sourceRef: {kind: GitRepository, name: a}, interval: +1m, valuesFile: base.yaml}`,
	"Kustomization with a sign": `
apiVersion: kustomize.toolkit.fluxcd.io/v1beta1
kind: Kustomization
metadata: {name: lax-ks}
spec: {interval: +1m, prune: true, sourceRef: {kind: GitRepository, name: a}, validation: client}`,
	"HelmRelease with two charts": `
apiVersion: helm.toolkit.fluxcd.io/v2beta1
kind: HelmRelease
metadata: {name: lax-release}
spec:
  interval: 1m
  chart: {spec: {chart: web, sourceRef: {kind: HelmRepository, name: a}}}
  chartRef: {kind: OCIRepository, name: web}`,
}

// TestEngineCanWorkOnWhatOlderVersionsAllow: the API server validates all of an
// object that the engine touches in the newest version, but what was there before
// and stays does not stop it.
func TestEngineCanWorkOnWhatOlderVersionsAllow(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	for name, manifest := range lax {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := &unstructured.Unstructured{}
			if err := yaml.UnmarshalStrict([]byte(manifest), &obj.Object); err != nil {
				t.Fatal(err)
			}
			obj.SetNamespace(w.NS)
			newest := obj.GroupVersionKind().GroupKind().WithVersion(served(t)[obj.GroupVersionKind().GroupKind()][0])
			strict := obj.DeepCopy()
			strict.SetGroupVersionKind(newest)
			if _, err := resource(t, w, newest).Create(t.Context(), strict, metav1.CreateOptions{}); err == nil {
				t.Fatalf("%s accepts it too", newest.Version)
			}
			if _, err := resource(t, w, obj.GroupVersionKind()).Create(t.Context(), obj, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
				t.Fatal(err)
			}
			touch(t, resource(t, w, newest), obj.GetName(), "/status/conditions", "["+condition+"]")
			got, err := resource(t, w, newest).Get(t.Context(), obj.GetName(), metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, loss := range lost("spec", obj.Object["spec"], got.Object["spec"]) {
				t.Error(loss)
			}
		})
	}
}

// TestManifestsInTheDocs has the API server check every manifest of our kinds that
// a page shows, strictly.
func TestManifestsInTheDocs(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	pages, err := filepath.Glob(filepath.Join(scenario.Root(), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := served(t)
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, obj := range manifests(string(raw)) {
			if kinds[obj.GroupVersionKind().GroupKind()] == nil {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/%d", filepath.Base(page), obj.GetKind(), i), func(t *testing.T) {
				t.Parallel()
				obj.SetNamespace(w.NS)
				options := metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}}
				if _, err := resource(t, w, obj.GroupVersionKind()).Create(t.Context(), obj, options); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// manifests are the whole objects in a page's blocks of YAML; fragments are not.
func manifests(page string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for i, block := range strings.Split(page, "```") {
		text, ok := strings.CutPrefix(block, "yaml\n")
		if !ok || i%2 == 0 {
			continue
		}
		for document := range strings.SplitSeq(text, "\n---\n") {
			obj := &unstructured.Unstructured{}
			if yaml.Unmarshal([]byte(document), &obj.Object) == nil && obj.GetKind() != "" && obj.GetName() != "" {
				out = append(out, obj)
			}
		}
	}
	return out
}

// served are our kinds with the versions in which they are served, the stored one
// first.
func served(t *testing.T) map[schema.GroupKind][]string {
	t.Helper()
	all, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	out := map[schema.GroupKind][]string{}
	for _, definition := range all {
		group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
		versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
		for _, version := range versions {
			name, _, _ := unstructured.NestedString(version.(map[string]any), "name")
			gk := schema.GroupKind{Group: group, Kind: kind}
			out[gk] = append(out[gk], name)
		}
	}
	return out
}

func resource(t *testing.T, w *scenario.World, gvk schema.GroupVersionKind) dynamic.ResourceInterface {
	t.Helper()
	r, err := w.Resource(gvk, w.NS)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// contractOf maps the paths of the fields in the contract to their types.
func contractOf(t *testing.T, gvk schema.GroupVersionKind) map[string]string {
	t.Helper()
	plural := strings.ToLower(gvk.Kind) + "s"
	if base, ok := strings.CutSuffix(plural, "ys"); ok {
		plural = base + "ies"
	}
	file, err := os.Open(filepath.Join(scenario.Root(), "testdata", "contract", plural+"."+gvk.Group+"_"+gvk.Version+".tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if columns := strings.Split(lines.Text(), "\t"); !strings.HasPrefix(columns[0], "#") {
			out[columns[0]] = columns[1]
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// of makes the manifest, and notes in set which paths it has.
func (s sample) of(t *testing.T, gvk schema.GroupVersionKind, contract map[string]string, set map[string]bool) *unstructured.Unstructured {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(scenario.Root(), "api", "testdata", strings.ToLower(gvk.Kind)+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	full := map[string]any{}
	if err := yaml.Unmarshal(raw, &full); err != nil {
		t.Fatal(err)
	}
	for _, path := range s.without {
		unstructured.RemoveNestedField(full, strings.Split(path, ".")...)
	}
	for path, value := range s.set {
		if err := unstructured.SetNestedField(full, value, strings.Split(path, ".")...); err != nil {
			t.Fatal(err)
		}
	}
	obj := &unstructured.Unstructured{Object: map[string]any{
		"spec": known("spec", full["spec"], contract, set), "status": known("status", full["status"], contract, set),
	}}
	obj.SetGroupVersionKind(gvk)
	return obj
}

// known is what the contract knows of a value, and nil if that is nothing.
func known(path string, value any, contract map[string]string, set map[string]bool) any {
	if contract[path] == "" {
		return nil
	}
	set[path] = true
	if contract[path] == "any" {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			child := path + "." + key
			if contract[path+"{}"] != "" {
				child = path + "{}"
			}
			if item = known(child, item, contract, set); item != nil {
				out[key] = item
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			out = append(out, known(path+"[]", item, contract, set))
		}
		return out
	}
	return value
}

// lost lists what of want is not in got, where more may be.
func lost(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		var out []string
		for _, key := range slices.Sorted(maps.Keys(w)) {
			out = append(out, lost(path+"."+key, w[key], g[key])...)
		}
		return out
	case []any:
		g, _ := got.([]any)
		if len(g) < len(w) {
			return []string{fmt.Sprintf("%s: %d items, want %d", path, len(g), len(w))}
		}
		var out []string
		for i := range w {
			out = append(out, lost(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
		return out
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return []string{fmt.Sprintf("%s: %v, want %v", path, got, want)}
	}
	return nil
}
