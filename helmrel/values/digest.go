package values

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	"sigs.k8s.io/yaml"
)

// Digest names values as the status does: the SHA-256 of them in YAML with sorted
// keys, of nothing when there are none. It is that of the toolkit, so that a
// release which its controller made is not upgraded only because we look at it.
func Digest(values map[string]any) string {
	h := sha256.New()
	if len(values) > 0 {
		raw, err := goyaml.Marshal(sorted(yaml.JSONObjectToYAMLObject(values)))
		if err != nil {
			raw = []byte(err.Error()) // what came out of YAML or JSON goes into it
		}
		h.Write(raw)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// sorted sorts the keys of objects at every depth, as plain text.
func sorted(value any) any {
	switch v := value.(type) {
	case goyaml.MapSlice:
		slices.SortFunc(v, func(a, b goyaml.MapItem) int { return strings.Compare(fmt.Sprint(a.Key), fmt.Sprint(b.Key)) })
		for i := range v {
			v[i].Value = sorted(v[i].Value)
		}
	case []any:
		for i := range v {
			v[i] = sorted(v[i])
		}
	}
	return value
}
