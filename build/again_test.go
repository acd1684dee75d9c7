package build

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/source"
)

// config is a ConfigMap with a value.
func config(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %q, namespace: shop}\ndata: {value: %q}\n", name, value)
}

// names lists what a build gave, as "name" for what was built and "(name)" for what was kept.
func names(r Result) string {
	var out []string
	for _, obj := range r.Objects {
		out = append(out, obj.GetName())
	}
	for _, ref := range r.Kept {
		out = append(out, "("+ref.Name+")")
	}
	return strings.Join(out, " ")
}

// TestAgain: a build with a memory names what another commit left as it was, and says
// of all the same as one without.
func TestAgain(t *testing.T) {
	t.Parallel()
	before := source.MemoryTree{"a.yaml": config("a", "1"), "sub/b.yaml": config("b", "1") + "---\n" + config("${x}-b", "1"), "sub/c.yaml": "# nothing\n"}
	tests := []struct {
		name   string
		change source.MemoryTree // "" removes
		want   string            // "" where all is built
	}{
		{"nothing", nil, "(a) (b) (x-b)"},
		{"one object", source.MemoryTree{"a.yaml": config("a", "2")}, "a (b) (x-b)"},
		{"one of two in a file", source.MemoryTree{"sub/b.yaml": config("b", "1") + "---\n" + config("${x}-b", "2")}, "b x-b (a)"},
		{"one that comes", source.MemoryTree{"sub/d.yaml": config("d", "1")}, "d (a) (b) (x-b)"},
		{"one that goes", source.MemoryTree{"a.yaml": ""}, "(b) (x-b)"},
		{"a file that moves", source.MemoryTree{"a.yaml": "", "z.yaml": config("a", "1")}, "a (b) (x-b)"},
		{"one that is there already", source.MemoryTree{"d.yaml": config("b", "2")}, ""},
		{"one that has the name of a variable", source.MemoryTree{"d.yaml": config("${x}-b", "2")}, ""},
		{"a list", source.MemoryTree{"d.yaml": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: d}}\n"}, ""},
		{"a kustomization that asks for more", source.MemoryTree{"kustomization.yaml": "namePrefix: p-\nresources: [a.yaml]"}, ""},
		{"a kustomization of one file", source.MemoryTree{"kustomization.yaml": "resources: [sub/b.yaml]"}, "(b) (x-b)"},
		{"what is no YAML", source.MemoryTree{"a.yaml": "a: [b"}, ""},
		{"what is encrypted", source.MemoryTree{"a.yaml": config("a", ciphertext)}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			spec := Spec{Substitution: Substitution{Variables: map[string]string{"x": "x"}}}
			first, err := Kustomization(t.Context(), before, spec)
			if err != nil || first.Memory == nil {
				t.Fatalf("it remembers %v, %v", first.Memory, err)
			}
			tree := maps.Clone(before)
			maps.Copy(tree, test.change)
			maps.DeleteFunc(tree, func(_, content string) bool { return content == "" })
			got, err := Again(t.Context(), tree, spec, first.Memory)
			want, wantErr := Kustomization(t.Context(), tree, spec)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("the error is %v, want %v", err, wantErr)
			}
			if names(got) != test.want && test.want != "" || test.want == "" && len(got.Kept) > 0 {
				t.Errorf("it gives %s, want %s", names(got), test.want)
			}
			if got.Digest != want.Digest || !reflect.DeepEqual(got.Memory, want.Memory) || !reflect.DeepEqual(got.Reads, want.Reads) {
				t.Errorf("got\n%+v\nwant\n%+v", got, want)
			}
			if len(got.Objects)+len(got.Kept) != len(want.Objects) {
				t.Errorf("it gives %s, of %s", names(got), names(want))
			}
		})
	}
}

// TestAgainAndAgain: what was kept once is kept once more.
func TestAgainAndAgain(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{}
	for i := range 20 {
		tree[fmt.Sprintf("%02d.yaml", i)] = config(fmt.Sprintf("c%02d", i), "0")
	}
	last, err := Kustomization(t.Context(), tree, Spec{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		name := fmt.Sprintf("%02d.yaml", i)
		tree = maps.Clone(tree)
		tree[name] = config(fmt.Sprintf("c%02d", i), "1")
		if last, err = Again(t.Context(), tree, Spec{}, last.Memory); err != nil || len(last.Objects) != 1 || len(last.Kept) != 19 {
			t.Fatalf("after %s it gives %s, %v", name, names(last), err)
		}
		if last.Reads.Unchanged(source.MemoryTree{}) || !last.Reads.Unchanged(tree) || !slices.Contains(last.Reads.Paths(), name) {
			t.Errorf("it does not depend on %s", name)
		}
	}
	whole, err := Kustomization(t.Context(), tree, Spec{})
	if err != nil || whole.Digest != last.Digest {
		t.Errorf("the digest is %s, want %s, %v", last.Digest, whole.Digest, err)
	}
}
