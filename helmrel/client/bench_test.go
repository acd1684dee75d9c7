package client_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/helmrel/client"
)

// BenchmarkObjects reads the manifest of a release of a hundred objects, as it is
// rendered.
func BenchmarkObjects(b *testing.B) {
	const n = 100
	var manifest strings.Builder
	for i := range n {
		fmt.Fprintf(&manifest, `---
# Source: web/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%d
  labels:
    app.kubernetes.io/name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: web
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web
    spec:
      containers:
        - name: web
          image: "web:1"
          ports:
            - containerPort: 8080
              name: http
          readinessProbe:
            httpGet:
              path: /ready
              port: http
          resources:
            limits:
              memory: 64Mi
`, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if objs, err := client.Objects(strings.NewReader(manifest.String())); err != nil || len(objs) != n {
			b.Fatal(len(objs), err)
		}
	}
}
