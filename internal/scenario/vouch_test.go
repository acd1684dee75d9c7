package scenario_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// applies counts the dry runs and the writes of a world's ConfigMaps since a mark.
func applies(w *scenario.World, mark scenario.Mark) (tried, written int) {
	for _, e := range w.Since(mark) {
		switch {
		case e.Verb != "patch" || e.ObjectRef.Resource != "configmaps":
		case strings.Contains(e.RequestURI, "dryRun=All"):
			tried++
		default:
			written++
		}
	}
	return tried, written
}

// TestVouching: many new ConfigMaps are written without a dry run of each, and an
// object that the server would refuse still leaves the cluster as it is. Alone: what it
// puts on the cluster keeps others from being vouched for.
func TestVouching(t *testing.T) {
	const n = 60
	many := func(ns string) string { return set(ns, n) }

	t.Run("one dry run for many", func(t *testing.T) {
		w := scenario.New(t)
		w.Apply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm-07, namespace: %s}, data: {value: theirs}}", w.NS))
		w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": many(w.NS)}), "")
		w.Kustomization("app", "./app", "")
		mark := w.Mark(t)
		w.Start()
		w.Ready(w.Unit("app"))
		w.EventWith(w.Unit("app"), "ReconciliationSucceeded", "cm-07 configured: takes over data.value from test")
		w.Settle()
		if tried, written := applies(w, mark); tried > 5 || written != n {
			t.Errorf("%d dry runs and %d writes of %d objects", tried, written, n)
		}
	})
	for name, bad := range map[string]string{
		"a key that is none":       "data: {'a b': c}",
		"a field that there isn't": "dat: {a: b}",
		"a value that is a list":   "data: {a: [b]}",
	} {
		t.Run(name, func(t *testing.T) {
			w := scenario.New(t)
			w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": many(w.NS), "app/bad.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, namespace: %s}\n%s\n", w.NS, bad)}), "")
			w.Kustomization("app", "./app", "")
			untouched(t, w, "ConfigMap/"+w.NS+"/bad")
		})
	}
	t.Run("a policy", func(t *testing.T) {
		w := scenario.New(t)
		policy(t, w, "CREATE", "configmaps", "object.metadata.name != 'cm-42'")
		// A policy is in force a moment after it was made.
		for w.TryApply(fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: cm-42, namespace: %s}}", w.NS)) == nil {
			w.Delete(scenario.Key("ConfigMap", w.NS, "cm-42"))
		}
		w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"app/a.yaml": many(w.NS)}), "")
		w.Kustomization("app", "./app", "")
		untouched(t, w, "ConfigMap/"+w.NS+"/cm-42", "not this one")
	})
}

// policy has the server take objects of a resource of core/v1 in the namespace of a world
// only where an expression holds; "not this one" is what it says to the others.
func policy(t *testing.T, w *scenario.World, operation, resource, expression string) {
	t.Helper()
	w.Apply(fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [%[2]s], resources: [%[3]s]}]
  validations: [{expression: %[4]q, message: not this one}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec:
  policyName: %[1]s
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}}
`, w.NS, operation, resource, expression))
	t.Cleanup(func() {
		for _, kind := range []string{"ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"} {
			key := scenario.Key("Namespace", "", w.NS)
			key.GroupKind, key.Version = schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: kind}, "v1"
			if _, err := w.Cluster.Delete(context.Background(), key, "", ""); err != nil {
				t.Error(err)
			}
		}
	})
}

// untouched starts an engine, and waits until it refuses the set of the unit app with
// some texts. It must have written nothing of it.
func untouched(t *testing.T, w *scenario.World, texts ...string) {
	t.Helper()
	mark := w.Mark(t)
	w.Start()
	w.NotReady(w.Unit("app"), "ReconciliationFailed", texts...)
	if _, written := applies(w, mark); written > 0 {
		t.Errorf("%d objects were written", written)
	}
	w.Gone(scenario.Key("ConfigMap", w.NS, "cm-00"))
}
