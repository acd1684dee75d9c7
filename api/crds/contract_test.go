package crds_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/plumb-gitops/plumb/api/crds"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// kinds are held to the contract, one line each: definition and version.
var kinds = []string{
	"gitrepositories.source.toolkit.fluxcd.io_v1",
	"kustomizations.kustomize.toolkit.fluxcd.io_v1",
}

// TestContract compares the generated schemas with what the toolkit's clients
// know, line by line. Fields of our own, which the contract does not name, may
// come on top; nothing may be missing or differ.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "contract", kind+".tsv"))
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSpace(string(raw)), "\n")
			got := lines(t, kind)
			named := map[string]bool{}
			for _, line := range want {
				named[path(line)] = true
				if !slices.Contains(got, strings.TrimRight(line, "\t ")) {
					t.Errorf("missing or different: %s\n have: %s", line, strings.Join(withPath(got, path(line)), "\n       "))
				}
			}
			for _, line := range got {
				if named[path(line)] && !slices.ContainsFunc(want, func(w string) bool { return strings.TrimRight(w, "\t ") == line }) {
					t.Errorf("differs: %s", line)
				}
			}
		})
	}
}

// path is the first column; each column of the printed table is a path of its own.
func path(line string) string {
	if strings.HasPrefix(line, "# column ") {
		return strings.Join(strings.Fields(line)[:3], " ")
	}
	first, _, _ := strings.Cut(line, "\t")
	return strings.TrimSpace(strings.SplitN(first, " scope=", 2)[0])
}

func withPath(lines []string, want string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return path(l) != want })
}

// lines flattens one version of a definition into the contract's form.
func lines(t *testing.T, kind string) []string {
	t.Helper()
	name, version, _ := strings.Cut(kind, "_")
	all, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range all {
		if obj.GetName() == name {
			return flatten(t, obj, version)
		}
	}
	t.Fatalf("no definition %s", name)
	return nil
}

func flatten(t *testing.T, obj *unstructured.Unstructured, version string) []string {
	t.Helper()
	crd := apiextensionsv1.CustomResourceDefinition{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &crd); err != nil {
		t.Fatal(err)
	}
	for _, v := range crd.Spec.Versions {
		if v.Name != version {
			continue
		}
		names := crd.Spec.Names
		out := []string{fmt.Sprintf("# %s %s/%s scope=%s shortNames=%s categories=%s subresources=status", names.Kind, crd.Spec.Group, version,
			crd.Spec.Scope, strings.Join(names.ShortNames, ","), strings.Join(names.Categories, ","))}
		for _, c := range v.AdditionalPrinterColumns {
			out = append(out, fmt.Sprintf("# column %s %s %s", c.Name, c.Type, c.JSONPath))
		}
		for _, part := range []string{"spec", "status"} {
			out = append(out, fields(part, v.Schema.OpenAPIV3Schema.Properties[part], false)...)
		}
		return out
	}
	t.Fatalf("%s has no version %s", obj.GetName(), version)
	return nil
}

// fields is one line for a schema, then those of what is below it.
func fields(path string, s apiextensionsv1.JSONSchemaProps, required bool) []string {
	columns := []string{path, s.Type, "", constraints(s)}
	if required {
		columns[2] = "required"
	}
	out := []string{strings.TrimRight(strings.Join(columns, "\t"), "\t ")}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		out = append(out, fields(path+"."+name, s.Properties[name], slices.Contains(s.Required, name))...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		out = append(out, fields(path+"[]", *s.Items.Schema, false)...)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		out = append(out, fields(path+"{}", *s.AdditionalProperties.Schema, false)...)
	}
	return out
}

func constraints(s apiextensionsv1.JSONSchemaProps) string {
	var out []string
	add := func(name string, value any) { out = append(out, name+"="+spaced(value)) }
	if len(s.Enum) > 0 {
		add("enum", s.Enum)
	}
	if s.Default != nil {
		add("default", s.Default)
	}
	if s.Pattern != "" {
		add("pattern", s.Pattern)
	}
	if s.Format != "" {
		add("format", s.Format)
	}
	for _, bound := range []struct {
		name  string
		value *int64
	}{{"minLength", s.MinLength}, {"maxLength", s.MaxLength}, {"minItems", s.MinItems}, {"maxItems", s.MaxItems}} {
		if bound.value != nil {
			add(bound.name, *bound.value)
		}
	}
	if s.Minimum != nil {
		add("minimum", *s.Minimum)
	}
	for _, rule := range s.XValidations {
		add("rule", rule.Rule)
	}
	return strings.Join(out, " ")
}

// spaced is JSON with a space behind each comma and colon, and with nothing
// escaped that need not be.
func spaced(value any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(b.String())
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		text = strings.NewReplacer(`,"`, `, "`, `":`, `": `).Replace(text)
	}
	return text
}
