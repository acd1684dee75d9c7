package scenario_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// TestMonorepo: a commit costs what it touches.
func TestMonorepo(t *testing.T) {
	t.Parallel()
	const units = 100
	w := scenario.New(t)
	files := map[string]string{"bases/shared/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {value: one}\n", "bases/shared/kustomization.yaml": "resources: [cm.yaml]\n"}
	var all strings.Builder
	for i := range units {
		name := fmt.Sprintf("u%02d", i)
		if i < 2 { // these two use the base
			files["apps/"+name+"/kustomization.yaml"] = fmt.Sprintf("resources: [../../bases/shared]\nnamePrefix: %s-\nnamespace: %s\n", name, w.NS)
		} else {
			files["apps/"+name+"/cm.yaml"] = configMap(w.NS, name, "one")
		}
		fmt.Fprintf(&all, "%s---\n", w.KustomizationYAML(name, "./apps/"+name, ""))
	}
	repo := w.Git.Repo(t, "repo", files)
	w.Source("repo", repo, "")
	w.Apply(all.String())
	w.Start()
	for i := range units {
		w.Ready(w.Unit(fmt.Sprintf("u%02d", i)))
	}
	w.Settle()
	for _, tc := range []struct {
		name    string
		change  map[string]string
		touched []string
	}{
		{"one app's folder", map[string]string{"apps/u50/cm.yaml": configMap(w.NS, "u50", "two")}, []string{"u50"}},
		{"a base outside of the folders of the two that use it", map[string]string{"bases/shared/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {value: two}\n"}, []string{"u00", "u01"}},
		{"nothing that anybody uses", map[string]string{"README.md": "words\n"}, nil},
	} {
		mark := w.Mark(t)
		revision := repo.Commit(tc.change)
		w.Poke("repo")
		for i := range units {
			w.Ready(w.Unit(fmt.Sprintf("u%02d", i)), revision)
		}
		w.Settle()
		byUnit, other := map[string][]string{}, []string{}
		for _, e := range w.Since(mark) {
			switch ref := e.ObjectRef; {
			case ref.Resource == "kustomizations" && ref.Subresource == "status":
				byUnit[ref.Name] = append(byUnit[ref.Name], "status")
			case ref.Resource == "gitrepositories", ref.Resource == "events", strings.HasPrefix(ref.Name, "settle"):
			default:
				other = append(other, e.String())
			}
		}
		for i := range units {
			name := fmt.Sprintf("u%02d", i)
			if got := len(byUnit[name]); got != 1 {
				t.Errorf("%s: %d status writes of %s, want 1", tc.name, got, name)
			}
		}
		// A touched unit costs an apply of its one object.
		if want := len(tc.touched); len(other) != want {
			t.Errorf("%s: %d other requests, want %d: %v", tc.name, len(other), want, other)
		}
		for _, request := range other {
			if !slices.ContainsFunc(tc.touched, func(name string) bool { return strings.Contains(request, name) }) {
				t.Errorf("%s: a request for something else: %s", tc.name, request)
			}
		}
	}
}

// TestChain: each step begins when the one before is Ready, not at an interval.
func TestChain(t *testing.T) {
	t.Parallel()
	const length = 20
	w := scenario.New(t)
	files := map[string]string{}
	var all strings.Builder
	for i := range length {
		name := fmt.Sprintf("s%02d", i)
		files[name+"/cm.yaml"] = configMap(w.NS, name, "x")
		extra := "wait: true"
		if i > 0 {
			extra += fmt.Sprintf("\ndependsOn: [{name: s%02d}]", i-1)
		}
		fmt.Fprintf(&all, "%s---\n", w.KustomizationYAML(name, "./"+name, extra))
	}
	w.Source("repo", w.Git.Repo(t, "repo", files), "")
	w.Apply(all.String())
	w.Start()
	w.Ready(w.Unit(fmt.Sprintf("s%02d", length-1)))
	before := w.EventWith(w.Unit("s00"), "ReconciliationSucceeded", "created")
	for i := 1; i < length; i++ {
		ready := w.EventWith(w.Unit(fmt.Sprintf("s%02d", i)), "ReconciliationSucceeded", "created")
		if took := at(t, ready).Sub(at(t, before)); took < 0 {
			t.Errorf("step %d was Ready %v before the one before it", i, -took)
		}
		before = ready
	}
}

// TestDependencyThatComesLater: a dependency may be made after its dependant.
func TestDependencyThatComesLater(t *testing.T) {
	t.Parallel()
	w := scenario.New(t)
	w.Source("repo", w.Git.Repo(t, "repo", map[string]string{"a/cm.yaml": configMap(w.NS, "a", "x"), "b/cm.yaml": configMap(w.NS, "b", "x")}), "")
	w.Kustomization("b", "./b", "dependsOn: [{name: a}]")
	w.Start()
	w.NotReady(w.Unit("b"), "DependencyNotReady", "dependency '"+w.NS+"/a' not found")
	w.Kustomization("a", "./a", "")
	w.Ready(w.Unit("b"))
}
