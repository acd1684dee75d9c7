package api_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// generator makes values that a schema allows. No value is the zero of its type,
// since Go's JSON leaves those out, and no two are the same.
type generator struct {
	rand *rand.Rand
	next int64
}

func (g *generator) value(s apiextensionsv1.JSONSchemaProps) any {
	g.next++
	switch s.Type {
	case "object":
		return g.object(s)
	case "array":
		return []any{g.value(*s.Items.Schema), g.value(*s.Items.Schema)}
	case "boolean":
		return true
	case "integer":
		return g.next
	default:
		return g.text(s)
	}
}

func (g *generator) object(s apiextensionsv1.JSONSchemaProps) map[string]any {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(s.Required, name) || g.rand.IntN(2) == 0 {
			out[name] = g.value(s.Properties[name])
		}
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		for _, key := range []string{"a", "b/c.d"} {
			out[key] = g.value(*s.AdditionalProperties.Schema)
		}
	}
	return out
}

// text is one of an enumeration, a time, or a duration as Go prints it, which
// does for every other string as well.
func (g *generator) text(s apiextensionsv1.JSONSchemaProps) any {
	switch {
	case len(s.Enum) > 0:
		return json.RawMessage(s.Enum[g.rand.IntN(len(s.Enum))].Raw)
	case s.Format == "date-time":
		return time.Unix(g.next, 0).UTC().Format(time.RFC3339)
	default:
		return (time.Duration(g.next) * time.Second).String()
	}
}

// missing lists the paths of a schema that value does not set.
func missing(path string, s apiextensionsv1.JSONSchemaProps, value any) []string {
	if value == nil {
		return []string{path}
	}
	var out []string
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			out = append(out, missing(path+"."+name, s.Properties[name], v[name])...)
		}
	case []any:
		if len(v) == 0 {
			return []string{path + "[]"}
		}
		out = missing(path+"[]", *s.Items.Schema, v[0])
	}
	return out
}
