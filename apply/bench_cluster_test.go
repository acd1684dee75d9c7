package apply_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// large is how many objects a large set has; half of them are Deployments.
const large = 400

func largeSet(w *world) []*unstructured.Unstructured {
	w.Helper()
	out := make([]*unstructured.Unstructured, large)
	for i := range out {
		text := settings(`a: "1"`)
		if i%2 == 0 {
			text = web
		}
		out[i] = w.object(text)
		out[i].SetName(fmt.Sprintf("app-%03d", i))
		if i%2 == 0 {
			_ = unstructured.SetNestedField(out[i].Object, int64(0), "spec", "replicas") // its form is that of web
		}
	}
	return out
}

// BenchmarkPlanUnchanged is the plan of a set that is on the cluster as it was left: it
// asks for nothing.
func BenchmarkPlanUnchanged(b *testing.B) {
	w := newWorld(b)
	objs := largeSet(w)
	if _, err := w.try(objs); err != nil {
		b.Fatal(err)
	}
	for _, key := range w.have {
		w.settle(w.get(key))
	}
	b.ReportAllocs()
	for b.Loop() {
		plan, err := w.Plan(b.Context(), w.request(objs))
		if err != nil || !plan.Empty() {
			b.Fatal(err, actions(plan.Changes()))
		}
	}
}

// BenchmarkPlanAnew is the plan of the same set when nothing is known of it: each object
// is tried on the server.
func BenchmarkPlanAnew(b *testing.B) {
	w := newWorld(b)
	objs := largeSet(w)
	if _, err := w.try(objs); err != nil {
		b.Fatal(err)
	}
	w.known = map[kube.Key]apply.Written{}
	b.ReportAllocs()
	for b.Loop() {
		plan, err := w.Plan(b.Context(), w.request(objs))
		if err != nil || len(plan.Changes()) != large {
			b.Fatal(err)
		}
	}
}
