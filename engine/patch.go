package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const mergePatch = types.MergePatchType

// saved is an object as the API server answers to a patch of it; obj stays as it is.
func saved[T client.Object](obj T, patch []byte, write func(client.Object, client.Patch) error) (T, error) {
	next, _ := obj.DeepCopyObject().(T) // a copy is of the same type
	return next, write(next, client.RawPatch(mergePatch, patch))
}

// savedFinalizers writes the finalizers that an object has. The resource version makes
// sure that nobody else's are lost; on a conflict the pass runs again.
func savedFinalizers[T client.Object](ctx context.Context, c client.Client, obj T) (T, error) {
	patch := fmt.Appendf(nil, `{"metadata":{"finalizers":%s,"resourceVersion":%q}}`, asJSON(obj.GetFinalizers()), obj.GetResourceVersion())
	return saved(obj, patch, func(o client.Object, p client.Patch) error { return c.Patch(ctx, o, p) })
}

// savedStatus writes a patch of a status.
func savedStatus[T client.Object](ctx context.Context, c client.Client, obj T, patch []byte) (T, error) {
	return saved(obj, patch, func(o client.Object, p client.Patch) error { return c.Status().Patch(ctx, o, p) })
}

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
