package render

import (
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
)

func charted(files map[string]string) *chart.Chart {
	ch := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "web", Version: "1.0.0"}, Values: map[string]any{"replicas": 1}}
	for name, text := range files {
		file := &chart.File{Name: name, Data: []byte(text)}
		switch {
		case name == "values.schema.json":
			ch.Schema = file.Data
		case strings.HasPrefix(name, "crds/"):
			ch.Files = append(ch.Files, file)
		default:
			ch.Templates = append(ch.Templates, file)
		}
	}
	return ch
}

const (
	workload = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec: {replicas: {{ .Values.replicas }}}\n"
	settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Namespace }}-{{ if .Release.IsInstall }}new{{ else }}old{{ end }}}\n"
	hook     = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-install}}\n"
)

func TestRender(t *testing.T) {
	t.Parallel()
	files := map[string]string{"templates/a.yaml": workload, "templates/b.yaml": settings, "templates/hook.yaml": hook, "templates/NOTES.txt": "be {{ .Values.mood }}", "crds/c.yaml": "kind: CustomResourceDefinition\n"}
	out, err := Render(Input{Chart: charted(files), Values: map[string]any{"replicas": 3, "mood": "glad"}, Name: "web", Namespace: "shop", Upgrade: true})
	if err != nil {
		t.Fatal(err)
	}
	config, deployment := strings.Index(out.Manifest, "name: shop-old"), strings.Index(out.Manifest, "replicas: 3")
	if config < 0 || deployment < config || strings.Contains(out.Manifest, "migrate") || strings.Contains(out.Manifest, "be glad") {
		t.Errorf("the manifest is\n%s", out.Manifest)
	}
	if len(out.Hooks) != 1 || out.Hooks[0].Name != "migrate" || len(out.Definitions) != 1 || out.Notes != "be glad" {
		t.Errorf("got %d hooks, %d definitions, %q", len(out.Hooks), len(out.Definitions), out.Notes)
	}
}

func TestRenderSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a template":  {map[string]string{"templates/a.yaml": "{{ .Values.x.y.z }}"}, "web/templates/a.yaml"},
		"no manifest": {map[string]string{"templates/a.yaml": "a: [\n"}, "web/templates/a.yaml"},
		"the schema":  {map[string]string{"values.schema.json": `{"properties":{"replicas":{"type":"string"}}}`}, "replicas"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Render(Input{Chart: charted(c.files), Values: map[string]any{}, Name: "web", Namespace: "shop"})
			if err == nil || !strings.HasPrefix(err.Error(), "chart web: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := Render(Input{Chart: charted(map[string]string{"values.schema.json": `{"properties":{"replicas":{"type":"string"}}}`}), Values: map[string]any{}, SkipSchema: true}); err != nil {
		t.Error(err)
	}
}
