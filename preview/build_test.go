package preview_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/preview"
	"github.com/plumb-gitops/plumb/source"
)

func objects(t *testing.T, texts ...string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for _, text := range texts {
		obj := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
			t.Fatal(err)
		}
		out = append(out, obj)
	}
	return out
}

func unit(name, path, source, extra string) string {
	return "{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, metadata: {name: " + name + ", namespace: apps}, spec: {interval: 1h, prune: true, path: " + path +
		", sourceRef: {kind: GitRepository, name: " + source + "}" + extra + "}}"
}

func names(units []preview.Unit) map[string]string {
	out := map[string]string{}
	for _, u := range units {
		out[u.Name] = ""
		if u.Err != nil {
			out[u.Name] = u.Err.Error()
		}
	}
	return out
}

func TestNestedKustomizationsOfTheSameSource(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{
		"entry/self.yaml":   unit("entry", "entry", "fleet", ""), // one that holds itself ends
		"entry/nested.yaml": unit("nested", "nested", "fleet", ", postBuild: {substituteFrom: [{kind: Secret, name: vars}]}"),
		"entry/other.yaml":  unit("other", "none", "elsewhere", ""),
		"nested/cm.yaml":    "{apiVersion: v1, kind: ConfigMap, metadata: {name: cm, namespace: apps}, data: {who: \"${who}\"}}",
	}
	first := objects(t, unit("entry", "entry", "fleet", ""))
	units, err := preview.Build(t.Context(), tree, first, preview.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	const missing = "spec.postBuild.substituteFrom[0]: Secret/apps/vars is not among what was built: give it with --with FILE"
	if diff := cmp.Diff(map[string]string{"apps/entry": "", "apps/nested": missing}, names(units)); diff != "" {
		t.Errorf("without the Secret (- want, + got):\n%s", diff)
	}
	with := objects(t, "{apiVersion: v1, kind: Secret, metadata: {name: vars, namespace: apps}, data: {who: ZXZlcnlib2R5}}")
	units, err = preview.Build(t.Context(), tree, first, preview.Options{Strict: true, Objects: with})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"apps/entry": "", "apps/nested": ""}, names(units)); diff != "" {
		t.Errorf("with the Secret (- want, + got):\n%s", diff)
	}
	who, _, _ := unstructured.NestedString(units[1].Objects[0].Object, "data", "who")
	if who != "everybody" {
		t.Errorf("the variable is %q", who)
	}
}

func TestDifferencesTellDeletionsFirst(t *testing.T) {
	t.Parallel()
	before := []preview.Unit{{Name: "apps/web", Objects: objects(t,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: \"1\"}}", "{apiVersion: v1, kind: ConfigMap, metadata: {name: z}}",
		"{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: cGxhbnRlZA==}}")}, {Name: "apps/same"}}
	after := []preview.Unit{{Name: "apps/web", Objects: objects(t,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: \"2\"}}", "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}",
		"{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: b3RoZXI=}}")}, {Name: "apps/same"}, {Name: "apps/new", Objects: objects(t, "{apiVersion: v1, kind: Namespace, metadata: {name: new}}")}}
	type line struct{ Object, Action, Before string }
	got := map[string][]line{}
	for _, d := range preview.Diff(before, after) {
		for _, c := range d.Changes {
			l := line{Object: c.Object, Action: c.Action}
			if len(c.Fields) > 0 {
				l.Before = c.Fields[0].Before
			}
			got[d.Unit] = append(got[d.Unit], l)
		}
	}
	want := map[string][]line{
		"apps/web": {{"ConfigMap/z", "deleted", ""}, {"ConfigMap/a", "configured", `"1"`}, {"Secret/s", "configured", "(hidden)"}, {"ConfigMap/b", "created", ""}},
		"apps/new": {{"Namespace/new", "created", ""}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (- want, + got):\n%s", diff)
	}
}

func TestFoldersAndRevisionsThatAreNotThere(t *testing.T) {
	t.Parallel()
	if _, err := preview.Folder("testdata/none"); err == nil {
		t.Error("a folder that is not there is read")
	}
	if _, err := preview.Revision(t.TempDir(), "main"); err == nil {
		t.Error("a folder without a repository has a revision")
	}
}
