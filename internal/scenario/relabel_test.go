package scenario_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// versioned is an application in a version, which all of its objects have in a label.
func versioned(ns, version string, port int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: %[1]s, labels: {app.kubernetes.io/version: "%[2]s"}}
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: %[1]s, labels: {app.kubernetes.io/version: "%[2]s"}}
spec: {selector: {app: app}, ports: [{port: %[3]d}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: %[1]s, labels: {app.kubernetes.io/version: "%[2]s"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: "example.com/app:%[2]s"}]}
`, ns, version, port)
}

// TestRelabelled: of what only gets another label no dry run is made, unless somebody has
// a say in it. It runs alone: what it puts on the cluster counts for all.
func TestRelabelled(t *testing.T) {
	w := scenario.New(t)
	repo := w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": versioned(w.NS, "1", 80)})
	w.Source("repo", repo, "interval: 1h")
	w.Kustomization("app", "./app", "")
	w.Start()
	w.Ready(w.Unit("app"))
	upgrade := func(version string, port int, ready bool) (tried, written int) {
		t.Helper()
		w.Settle()
		mark := w.Mark(t)
		revision := repo.Commit(map[string]string{"app/a.yaml": versioned(w.NS, version, port)})
		w.Poke("repo")
		if ready {
			w.Ready(w.Unit("app"), revision)
			for _, kind := range []string{"ServiceAccount", "Service"} {
				w.Has(scenario.Key(kind, w.NS, "app"), version, "metadata", "labels", "app.kubernetes.io/version")
			}
		} else {
			w.NotReady(w.Unit("app"), "ReconciliationFailed", "Service/"+w.NS+"/app", "not this one")
		}
		for _, e := range w.Since(mark) {
			switch {
			case e.Verb != "patch" || e.ObjectRef.Namespace != w.NS || e.ObjectRef.Name != "app" || e.ObjectRef.Resource == "kustomizations":
			case strings.Contains(e.RequestURI, "dryRun=All"):
				tried++
			default:
				written++
			}
		}
		return tried, written
	}
	// The image changes each time, so the Deployment is tried; the Service is the first
	// object of the third version that is not known to be taken, so its write is its try.
	for _, c := range []struct {
		version string
		port    int
	}{{"2", 80}, {"3", 81}} {
		if tried, written := upgrade(c.version, c.port, true); tried != 1 || written != 3 {
			t.Errorf("version %s: %d dry runs and %d writes", c.version, tried, written)
		}
	}
	w.Stop() // what it knows of policies may be some seconds old
	opposed(t, w)
	w.Start()
	w.Ready(w.Unit("app"))
	upgrade("4", 81, false)
	for _, kind := range []string{"ServiceAccount", "Service", "Deployment"} {
		if got := w.Get(scenario.Key(kind, w.NS, "app")).GetLabels()["app.kubernetes.io/version"]; got != "3" {
			t.Errorf("%s has version %s", kind, got)
		}
	}
}

// opposed has a policy refuse version 4 of Services in the namespace of a world.
func opposed(t *testing.T, w *scenario.World) {
	t.Helper()
	const version = "app.kubernetes.io/version"
	policy(t, w, "UPDATE", "services", "!has(object.metadata.labels) || !('"+version+"' in object.metadata.labels) || object.metadata.labels['"+version+"'] != '4'")
	// A policy is in force a moment after it was made.
	probe := func(version string) error {
		return w.TryApply(fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: probe, namespace: %s, labels: {app.kubernetes.io/version: '%s'}}, spec: {ports: [{port: 80}]}}", w.NS, version))
	}
	for probe("4") == nil {
		if err := probe("1"); err != nil {
			t.Fatal(err)
		}
	}
}
