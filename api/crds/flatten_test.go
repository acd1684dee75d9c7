package crds_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// flatten is one version of a definition, a line for the kind, one for each
// printed column, one for each field.
func flatten(t *testing.T, obj *unstructured.Unstructured, version string) []string {
	t.Helper()
	crd := apiextensionsv1.CustomResourceDefinition{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &crd); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == version })
	if i < 0 {
		t.Fatalf("%s has no version %s", obj.GetName(), version)
	}
	v := crd.Spec.Versions[i]
	out := []string{heading(crd.Spec, v)}
	for _, c := range v.AdditionalPrinterColumns {
		out = append(out, fmt.Sprintf("# column %s %s %s", c.Name, c.Type, c.JSONPath))
	}
	for _, part := range []string{"spec", "status"} {
		out = append(out, fields(part, v.Schema.OpenAPIV3Schema.Properties[part], false)...)
	}
	return out
}

func heading(spec apiextensionsv1.CustomResourceDefinitionSpec, v apiextensionsv1.CustomResourceDefinitionVersion) string {
	var subresources []string
	if v.Subresources != nil && v.Subresources.Scale != nil {
		subresources = append(subresources, "scale")
	}
	if v.Subresources != nil && v.Subresources.Status != nil {
		subresources = append(subresources, "status")
	}
	return fmt.Sprintf("# %s %s/%s scope=%s shortNames=%s categories=%s subresources=%s", spec.Names.Kind, spec.Group, v.Name, spec.Scope,
		strings.Join(spec.Names.ShortNames, ","), strings.Join(spec.Names.Categories, ","), strings.Join(subresources, ","))
}

// fields is one line for a schema, then those of what is below it.
func fields(path string, s apiextensionsv1.JSONSchemaProps, required bool) []string {
	columns := []string{path, s.Type, "", constraints(s)}
	if s.Type == "" {
		columns[1] = "any"
	}
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

// constraints lists what a value has to satisfy, in the contract's order. A
// constraint that the contract has no word for is written in full, so that it
// cannot slip in.
func constraints(s apiextensionsv1.JSONSchemaProps) string {
	var out []string
	add := func(name string, value any) { out = append(out, name+"="+spaced(value)) }
	if len(s.Enum) > 0 {
		add("enum", s.Enum)
	}
	if s.Default != nil {
		add("default", s.Default)
	}
	for _, text := range []struct{ name, value string }{{"pattern", s.Pattern}, {"format", s.Format}} {
		if text.value != "" {
			add(text.name, text.value)
		}
	}
	for _, bound := range []struct {
		name  string
		value *int64
	}{
		{"minLength", s.MinLength}, {"maxLength", s.MaxLength},
		{"minItems", s.MinItems}, {"maxItems", s.MaxItems},
		{"minProperties", s.MinProperties}, {"maxProperties", s.MaxProperties},
	} {
		if bound.value != nil {
			add(bound.name, *bound.value)
		}
	}
	for _, bound := range []struct {
		name  string
		value *float64
	}{{"minimum", s.Minimum}, {"maximum", s.Maximum}, {"multipleOf", s.MultipleOf}} {
		if bound.value != nil {
			add(bound.name, *bound.value)
		}
	}
	for _, rule := range s.XValidations {
		add("rule", rule.Rule)
	}
	return strings.Join(append(out, structure(s)...), " ")
}

// structure lists how values merge; these words stand without quotes.
func structure(s apiextensionsv1.JSONSchemaProps) []string {
	var out []string
	for _, word := range []struct {
		name  string
		value *string
	}{{"listType", s.XListType}, {"mapType", s.XMapType}} {
		if word.value != nil {
			out = append(out, word.name+"="+*word.value)
		}
	}
	if s.UniqueItems {
		out = append(out, "uniqueItems=true")
	}
	return out
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
