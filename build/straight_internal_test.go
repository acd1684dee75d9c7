package build

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/source"
)

const (
	plainOther   = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\ndata:\n  text: |\n    one\n    two\n  on: \"no\"\n"
	plainService = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, targetPort: http}], selector: {}, externalIPs: []}\n"
)

// TestStraightIsWhatKustomizeMakes holds each build that goes past kustomize
// against kustomize, and what has to go by it.
func TestStraightIsWhatKustomizeMakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		straight bool
		tree     source.MemoryTree
	}{
		{"files without a kustomization", true, source.MemoryTree{"a.yaml": plainOther, "sub/b.yml": plainService, "z.txt": "no"}},
		{"several documents, empty and commented ones", true, source.MemoryTree{"a.yaml": "---\n" + plainOther + "--- # next\n" + plainService + "---\n# nothing\n---\n\n"}},
		{"a kustomization of resources", true, source.MemoryTree{"kustomization.yaml": "resources: [b.yaml, a.yaml]", "a.yaml": plainOther, "b.yaml": plainService}},
		{"a base", true, source.MemoryTree{"kustomization.yaml": "resources: [b.yaml, base]", "base/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]", "base/a.yaml": plainOther, "b.yaml": plainService}},
		{"the line ends of other systems", true, source.MemoryTree{"a.yaml": strings.ReplaceAll("---\n"+plainOther+"---\n"+plainService, "\n", "\r\n")}},
		{"values of all types", true, source.MemoryTree{"a.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {i: 1, f: 1.5, e: 1e3, t: true, n: null, s: '1', d: 2024-01-01, l: [1, a, {b: c}], yes: yes, empty: {}, nothing: }\n"}},
		{"one name in two namespaces", true, source.MemoryTree{"a.yaml": strings.ReplaceAll(plainService, "name: a", "name: a, namespace: x") + "---\n" + strings.ReplaceAll(plainService, "name: a", "name: a, namespace: y")}},
		{"a prefix", false, source.MemoryTree{"kustomization.yaml": "namePrefix: p-\nresources: [a.yaml]", "a.yaml": plainOther}},
		{"a prefix in a base", false, source.MemoryTree{"kustomization.yaml": "resources: [base]", "base/kustomization.yaml": "namePrefix: p-\nresources: [a.yaml]", "base/a.yaml": plainOther}},
		{"a generator", false, source.MemoryTree{"kustomization.yaml": "resources: [a.yaml]\nconfigMapGenerator: [{name: g, literals: [a=b]}]", "a.yaml": plainOther}},
		{"a list", false, source.MemoryTree{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n"}},
		{"aliases", false, source.MemoryTree{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &n a}\ndata: {a: *n}\n"}},
		{"what is only local", false, source.MemoryTree{"b.yaml": plainOther, "a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {config.kubernetes.io/local-config: 'true'}}\n"}},
		{"an annotation of kustomize's", false, source.MemoryTree{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {internal.config.kubernetes.io/previousNames: b}}\n"}},
		{"the default namespace, and none", false, source.MemoryTree{"a.yaml": plainOther + "---\n" + strings.ReplaceAll(plainOther, "name: b", "name: b\n  namespace: default")}},
		{"an object twice", false, source.MemoryTree{"a.yaml": plainOther + "---\n" + plainOther}},
		{"text behind a separator", false, source.MemoryTree{"a.yaml": plainOther + "--- {a: b}\n" + plainService}},
		{"the end of a document, and more", false, source.MemoryTree{"a.yaml": plainOther + "...\n" + plainService + "---\n" + plainService}},
		{"a directive", false, source.MemoryTree{"a.yaml": "%YAML 1.1\n---\n" + plainOther}},
		{"dots and percents in texts", true, source.MemoryTree{"a.yaml": plainOther + "  more: |\n    ...\n    %d\n---\n" + plainService}},
		{"a separator at the end", true, source.MemoryTree{"a.yaml": plainOther + "---\n" + plainService + "---"}},
		{"an item of nothing", false, source.MemoryTree{"a.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {l: [a, null]}\n"}},
		{"a binding", false, source.MemoryTree{"a.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: a}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}\nsubjects: [{kind: ServiceAccount, name: a}]\n"}},
		{"annotations that are no texts", false, source.MemoryTree{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {n: 1}}\n"}},
		{"no annotations", false, source.MemoryTree{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {}}\n"}},
		{"no name", false, source.MemoryTree{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n"}},
		{"no YAML", false, source.MemoryTree{"a.yaml": "a: [b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := builderOf(t, test.tree)
			dir, err := b.prepare()
			if err != nil {
				t.Fatal(err)
			}
			if err := b.inspect(dir); err != nil {
				t.Fatal(err)
			}
			got, straight := b.straight(dir)
			if straight != test.straight {
				t.Errorf("straight is %t, want %t", straight, test.straight)
			}
			if !straight {
				return
			}
			built, err := b.run(dir)
			if err != nil {
				t.Fatalf("kustomize refuses what went past it: %v", err)
			}
			want, err := convert(built)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", show(got), show(want))
			}
		})
	}
}

func builderOf(t *testing.T, tree source.Tree) *builder {
	t.Helper()
	return &builder{recorder: newRecorder(t.Context(), tree), plain: map[string][]byte{}}
}

func show(objects []*unstructured.Unstructured) string {
	var out strings.Builder
	for _, obj := range objects {
		fmt.Fprintf(&out, "%v\n", obj.Object)
	}
	return out.String()
}
