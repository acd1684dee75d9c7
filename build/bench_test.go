package build_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/source"
)

// overlay is four objects of a base with an overlay's namespace, prefix, image
// and labels on them.
func overlay() source.MemoryTree {
	return source.MemoryTree{
		"apps/web/kustomization.yaml": "namespace: prod\nnamePrefix: a-\nimages: [{name: web, newTag: v2}]\nlabels: [{pairs: {team: a}}]\nresources: [../../base]\n",
		"base/kustomization.yaml":     "resources: [deployment.yaml, service.yaml, config.yaml, account.yaml]\n",
		"base/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
        - name: web
          image: web:v1
          ports: [{containerPort: 8080, name: http}]
          envFrom: [{configMapRef: {name: web}}]
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 5}
`,
		"base/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: 80, targetPort: http}]\n",
		"base/config.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b, c: d}\n",
		"base/account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n",
	}
}

func BenchmarkKustomization(b *testing.B) {
	tree := overlay()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := build.Kustomization(b.Context(), tree, build.Spec{Path: "apps/web"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnchanged(b *testing.B) {
	tree := overlay()
	result, err := build.Kustomization(b.Context(), tree, build.Spec{Path: "apps/web"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !result.Reads.Unchanged(tree) {
			b.Fatal("changed")
		}
	}
}

func BenchmarkHash(b *testing.B) {
	result, err := build.Kustomization(b.Context(), overlay(), build.Spec{Path: "apps/web"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		build.Hash(result.Objects[0])
	}
}

// BenchmarkPlain is a folder of many objects that asks kustomize for nothing.
func BenchmarkPlain(b *testing.B) {
	const files, each = 100, 100
	tree := source.MemoryTree{}
	for f := range files {
		var text strings.Builder
		for i := range each {
			fmt.Fprintf(&text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d-%d, namespace: shop}\ndata: {a: b, c: d}\n", f, i)
		}
		tree[fmt.Sprintf("set/f%d.yaml", f)] = text.String()
	}
	b.ReportAllocs()
	for b.Loop() {
		result, err := build.Kustomization(b.Context(), tree, build.Spec{Path: "set"})
		if err != nil || len(result.Objects) != files*each {
			b.Fatal(len(result.Objects), err)
		}
	}
}
