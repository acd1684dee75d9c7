package prune

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// inventoryOf is one of many objects of several kinds.
func inventoryOf(n int) []kube.Key {
	kinds := []schema.GroupKind{{Kind: "ConfigMap"}, {Group: "apps", Kind: "Deployment"}, {Group: "networking.k8s.io", Kind: "Ingress"}}
	out := make([]kube.Key, n)
	for i := range out {
		out[i] = kube.Key{ObjMetadata: object.ObjMetadata{Namespace: "shop", Name: fmt.Sprintf("app-%05d", i), GroupKind: kinds[i%len(kinds)]}, Version: "v1"}
	}
	return out
}

// large is how many objects a large set has, inStatus what a status may hold of it.
const large, inStatus = 10_000, 16 << 10

func BenchmarkStore(b *testing.B) {
	keys := inventoryOf(large)
	b.ReportAllocs()
	for b.Loop() {
		Store(keys)
	}
}

func BenchmarkLoad(b *testing.B) {
	stored := Store(inventoryOf(large))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(stored); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	keys := inventoryOf(large)
	b.ReportAllocs()
	for b.Loop() {
		if _, chunks := Split(keys, inStatus, "apps", "uid"); len(chunks) == 0 {
			b.Fatal("it is not split")
		}
	}
}

// BenchmarkGrow is a set of which one object comes and one goes.
func BenchmarkGrow(b *testing.B) {
	keys := inventoryOf(large + 1)
	was, is := keys[:large], keys[1:]
	b.ReportAllocs()
	for b.Loop() {
		if all := Union(was, is); len(all) != large+1 || len(Minus(all, is)) != 1 {
			b.Fatal(len(all))
		}
	}
}
