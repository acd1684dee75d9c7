package preview_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/preview"
	"github.com/plumb-gitops/plumb/source"
)

const (
	chartFile = "apiVersion: v2\nname: web\nversion: 1.0.0\n"
	workload  = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec: {replicas: {{ .Values.replicas }}, template: {spec: {containers: [{name: web, image: \"web:1\"}]}}}\n"
	hookFile  = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-install}}\n"
)

// helmRelease is one whose chart comes from a source.
func helmRelease(name, kind, from, chart, extra string) string {
	return "{apiVersion: helm.toolkit.fluxcd.io/v2, kind: HelmRelease, metadata: {name: " + name + ", namespace: apps}, spec: {interval: 1h, chart: {spec: {chart: " + chart +
		", sourceRef: {kind: " + kind + ", name: " + from + "}}}" + extra + "}}"
}

func rendered(t *testing.T, tree source.MemoryTree, o preview.Options) map[string]preview.Unit {
	t.Helper()
	o.Releases = &preview.Releases{}
	units, err := preview.Build(t.Context(), tree, objects(t, unit("entry", "entry", "fleet", "")), o)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]preview.Unit{}
	for _, u := range units {
		out[u.ID()] = u
	}
	return out
}

func text(t *testing.T, objs []*unstructured.Unstructured) string {
	t.Helper()
	var out strings.Builder
	for _, obj := range objs {
		raw, err := yaml.Marshal(obj.Object)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	return out.String()
}

func TestReleaseOfAChartInTheTree(t *testing.T) {
	t.Parallel()
	extra := `, releaseName: shop, values: {replicas: 3}, valuesFrom: [{kind: ConfigMap, name: settings}],
 postRenderers: [{kustomize: {images: [{name: web, newTag: "2"}]}}], commonMetadata: {labels: {team: a}}`
	tree := source.MemoryTree{
		"entry/release.yaml":             helmRelease("web", "GitRepository", "fleet", "./charts/web", extra),
		"entry/settings.yaml":            `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: apps}, data: {values.yaml: "replicas: 9\n"}}`,
		"entry/other.yaml":               helmRelease("other", "GitRepository", "elsewhere", "x", ""),
		"charts/web/Chart.yaml":          chartFile,
		"charts/web/values.yaml":         "replicas: 1\n",
		"charts/web/templates/web.yaml":  workload,
		"charts/web/templates/hook.yaml": hookFile,
	}
	units := rendered(t, tree, preview.Options{})
	u, ok := units["HelmRelease/apps/web"]
	if !ok || u.Err != nil {
		t.Fatalf("got %v, %v", units, u.Err)
	}
	got := text(t, u.Objects)
	for _, want := range []string{"name: shop", "namespace: apps", "replicas: 3", "image: web:2", "team: a"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if len(u.Hooks) != 1 || u.Hooks[0].GetName() != "migrate" || strings.Contains(got, "migrate") {
		t.Errorf("the hooks are %v", u.Hooks)
	}
	if _, ok := units["HelmRelease/apps/other"]; ok {
		t.Error("one with a chart elsewhere is rendered")
	}
	tree["charts/web/templates/web.yaml"] = strings.Replace(workload, "web:1", "other:1", 1)
	after := rendered(t, tree, preview.Options{})
	differences := preview.Diff([]preview.Unit{u}, []preview.Unit{after["HelmRelease/apps/web"]})
	if len(differences) != 1 || differences[0].Release != "apps/web" || len(differences[0].Changes) != 1 || len(differences[0].Hooks) != 0 {
		t.Errorf("got %+v", differences)
	}
}

func TestReleaseOfAChartInARepository(t *testing.T) {
	t.Parallel()
	server := testhelm.Start(t, testhelm.Options{Username: "me", Password: "secret"})
	server.Publish(t, map[string][]byte{"web-1.2.3.tgz": testhelm.Chart(t, "web", "1.2.3", map[string]string{"values.yaml": "replicas: 1\n", "templates/web.yaml": workload})})
	tree := source.MemoryTree{
		"entry/release.yaml":    helmRelease("web", "HelmRepository", "charts", "web", ""),
		"entry/lost.yaml":       helmRelease("lost", "HelmRepository", "nowhere", "web", ""),
		"entry/values.yaml":     helmRelease("values", "HelmRepository", "charts", "web", ", valuesFrom: [{kind: Secret, name: none}]"),
		"entry/repository.yaml": "{apiVersion: source.toolkit.fluxcd.io/v1, kind: HelmRepository, metadata: {name: charts, namespace: apps}, spec: {interval: 1h, url: \"" + server.URL + "\", secretRef: {name: login}}}",
	}
	login := objects(t, "{apiVersion: v1, kind: Secret, metadata: {name: login, namespace: apps}, stringData: {username: me, password: secret}}")
	units := rendered(t, tree, preview.Options{Objects: login})
	if u := units["HelmRelease/apps/web"]; u.Err != nil || !strings.Contains(text(t, u.Objects), "replicas: 1") {
		t.Errorf("got %v, %v", u.Objects, u.Err)
	}
	for name, want := range map[string]string{
		"lost":   "HelmRepository/apps/nowhere is not among what was built: give it with --with FILE",
		"values": "spec.valuesFrom[0]: Secret/apps/none is not among what was built: give it with --with FILE",
	} {
		if err := units["HelmRelease/apps/"+name].Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
