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
metadata: {name: web, namespace: apps, labels: {tier: back}, annotations: {note: x}}
data: {a: "${not_ours}"}
`

// target is a patch of what a target selects, and of nothing else.
func target(selects string) string {
	return `postRenderers: [{kustomize: {patches: [{target: {` + selects + `}, patch: "- {op: add, path: /patched, value: yes}"}]}}]`
}

func TestPostRender(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"older patches by every selector": {`postRenderers: [{kustomize: {patchesJson6902: [{target: {version: v1, kind: ConfigMap, name: web, namespace: apps, labelSelector: tier=back, annotationSelector: note=x}, patch: [{op: copy, from: /data/a, path: /data/c}, {op: add, path: /patched, value: yes}]}, {target: {group: apps, kind: Deployment}, patch: [{op: replace, path: /spec/replicas, value: 8}]}]}}]`, []string{"patched: ConfigMap", "c: ${not_ours}", "replicas: 8"}},
		"an image's digest":               {`postRenderers: [{kustomize: {images: [{name: web, digest: "sha256:abc"}]}}]`, []string{"image: web@sha256:abc"}},
		"a patch by group and version":    {target(`group: apps, version: v1`), []string{"patched: Deployment"}},
		"a patch by kind":                 {target(`kind: ConfigMap`), []string{"patched: ConfigMap"}},
		"a patch by name and namespace":   {target(`name: web, namespace: apps`), []string{"patched: ConfigMap"}},
		"a patch by labels":               {target(`labelSelector: tier=back`), []string{"patched: ConfigMap"}},
		"a patch by annotations":          {target(`annotationSelector: note=x`), []string{"patched: ConfigMap"}},
		"images":                          {`postRenderers: [{kustomize: {images: [{name: web, newName: example.com/web, newTag: "2"}]}}]`, []string{"image: example.com/web:2", "a: ${not_ours}"}},
		"a patch":                         {`postRenderers: [{kustomize: {patches: [{target: {kind: Deployment}, patch: "- op: replace\n  path: /spec/replicas\n  value: 5"}]}}]`, []string{"replicas: 5"}},
		"older patches":                   {`postRenderers: [{kustomize: {patchesStrategicMerge: [{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: apps}, data: {b: "2"}}], patchesJson6902: [{target: {kind: Deployment, name: web}, patch: [{op: replace, path: /spec/replicas, value: 7}]}]}}]`, []string{`b: "2"`, "replicas: 7"}},
		"one after another":               {`postRenderers: [{kustomize: {images: [{name: web, newTag: "2"}]}}, {kustomize: {images: [{name: web, newTag: "3"}]}}]`, []string{"image: web:3"}},
		"common metadata":                 {`commonMetadata: {labels: {team: a}, annotations: {contact: b}}`, []string{"team: a", "contact: b"}},
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
				if kind, ok := strings.CutPrefix(want, "patched: "); ok {
					checkPatched(t, out.String(), kind)
					continue
				}
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

// checkPatched fails unless the object of one kind, and no other, was patched.
func checkPatched(t *testing.T, text, kind string) {
	t.Helper()
	for part := range strings.SplitSeq(text, "---\n") {
		if strings.Contains(part, "patched:") != strings.Contains(part, "\nkind: "+kind+"\n") {
			t.Errorf("%s is to be patched:\n%s", kind, text)
		}
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
