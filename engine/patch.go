package engine

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const mergePatch = types.MergePatchType

// statusPatch is the JSON merge patch (RFC 7386) from one status to another,
// nil when they are equal.
func statusPatch(obj client.Object, old, next any) ([]byte, error) {
	from, err := json.Marshal(map[string]any{"status": old})
	if err != nil {
		return nil, err
	}
	to, err := json.Marshal(map[string]any{"status": next, "metadata": map[string]any{"uid": obj.GetUID()}})
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(from, to)
	if err != nil {
		return nil, err
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(patch, &parts); err != nil || parts["status"] == nil {
		return nil, err
	}
	return patch, nil
}

func asJSON(value any) []byte {
	raw, err := json.Marshal(value)
	if err != nil {
		return []byte("null") // strings always encode
	}
	return raw
}

// jittered spreads what would otherwise come all at once, by a tenth.
func jittered(d time.Duration) time.Duration {
	if d < 10 {
		return d
	}
	return d + rand.N(d/10)
}
