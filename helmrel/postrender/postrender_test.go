package postrender

import (
	"bytes"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

const manifest = `---
# Source: web/templates/a.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 1, template: {spec: {containers: [{name: web, image: "web:1"}]}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {a: "${not_ours}"}
`

func TestPostRender(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"images":            {`postRenderers: [{kustomize: {images: [{name: web, newName: example.com/web, newTag: "2"}]}}]`, []string{"image: example.com/web:2", "a: ${not_ours}"}},
		"a patch":           {`postRenderers: [{kustomize: {patches: [{target: {kind: Deployment}, patch: "- op: replace\n  path: /spec/replicas\n  value: 5"}]}}]`, []string{"replicas: 5"}},
		"older patches":     {`postRenderers: [{kustomize: {patchesStrategicMerge: [{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {b: "2"}}], patchesJson6902: [{target: {kind: Deployment, name: web}, patch: [{op: replace, path: /spec/replicas, value: 7}]}]}}]`, []string{`b: "2"`, "replicas: 7"}},
		"one after another": {`postRenderers: [{kustomize: {images: [{name: web, newTag: "2"}]}}, {kustomize: {images: [{name: web, newTag: "3"}]}}]`, []string{"image: web:3"}},
		"common metadata":   {`commonMetadata: {labels: {team: a}, annotations: {contact: b}}`, []string{"team: a", "contact: b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hr := &helmv2.HelmRelease{}
			if err := yaml.Unmarshal([]byte(c.spec), &hr.Spec); err != nil {
				t.Fatal(err)
			}
			out, err := New(t.Context(), hr).Run(bytes.NewBufferString(manifest))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if strings.Count(out.String(), "\nkind: ") != 2 {
				t.Errorf("objects got lost:\n%s", out)
			}
		})
	}
}

func TestNothingToChange(t *testing.T) {
	t.Parallel()
	if New(t.Context(), &helmv2.HelmRelease{}) != nil {
		t.Error("there is something to change")
	}
	hr := &helmv2.HelmRelease{}
	hr.Spec.PostRenderers = []helmv2.PostRenderer{{Kustomize: &helmv2.Kustomize{}}}
	if out, err := New(t.Context(), hr).Run(bytes.NewBufferString("\n")); err != nil || out.String() != "\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := New(t.Context(), hr).Run(bytes.NewBufferString("a: [")); err == nil || !strings.HasPrefix(err.Error(), "spec.postRenderers: ") {
		t.Errorf("got %v", err)
	}
}
