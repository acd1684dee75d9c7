package apply_test

import (
	"errors"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/internal/kube"
)

const (
	leadOne   = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {v: one}}"
	leadTwo   = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {v: two}}"
	leadWrong = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: NS}, data: {'no key': x}}"
	another   = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b, namespace: NS}, data: {v: one}}"
	wrongToo  = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: NS}, data: {'bad key': x}}"
	leadJob   = "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: NS}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: one}]}}}}"
	otherJob  = "{apiVersion: batch/v1, kind: Job, metadata: {name: j, namespace: NS}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: two}]}}}}"
)

// TestLeadRefused: when the server refuses the first object, nothing is written, and
// what is wrong is told as a dry run tells it.
func TestLeadRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, set []string
		errors      int  // how many objects the error names
		planned     bool // the plan itself finds it
	}{
		"a new object":                     {set: []string{leadWrong, another}, errors: 1},
		"alone":                            {set: []string{leadWrong}, errors: 1},
		"one that is there":                {before: []string{leadOne}, set: []string{leadWrong, another}, errors: 1},
		"one that cannot be changed":       {before: []string{leadJob}, set: []string{otherJob}, errors: 1},
		"another is refused as well":       {set: []string{leadWrong, another, wrongToo}, errors: 2, planned: true},
		"only another is refused":          {set: []string{leadOne, wrongToo}, errors: 1, planned: true},
		"a change, and another is refused": {before: []string{leadOne}, set: []string{leadTwo, wrongToo}, errors: 1, planned: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(c.before...)
			objects := w.objects(c.set)
			changes, err := w.try(objects)
			untaken := new(apply.Untaken)
			if err == nil || errors.As(err, &untaken) == c.planned || len(changes) > 0 {
				t.Fatalf("got %v, %v", changes, err)
			}
			var refusal *apply.Refusal
			if !errors.As(err, &refusal) || refusal.Op != "dry-run" {
				t.Errorf("it is told as %v", err)
			}
			for _, obj := range objects {
				_, err := w.cluster.Get(t.Context(), kube.KeyOf(obj))
				there := slices.ContainsFunc(w.objects(c.before), func(b *unstructured.Unstructured) bool { return b.GetName() == obj.GetName() })
				if there != (err == nil) || err != nil && !apierrors.IsNotFound(err) {
					t.Errorf("%s: %v", kube.KeyOf(obj), err)
				}
			}
			if len(c.before) > 0 && c.before[0] == leadOne {
				if got := w.field(w.get(kube.KeyOf(w.object(leadOne))), "data", "v"); got != "one" {
					t.Errorf("it was changed to %v", got)
				}
			}
		})
	}
}

// TestLeadTaken: what the first object became is told as of all others.
func TestLeadTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := func(want ...apply.Action) func([]apply.Change) {
		return func(changes []apply.Change) {
			t.Helper()
			var got []apply.Action
			for _, c := range changes {
				got = append(got, c.Action)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	told(apply.Created, apply.Created)(w.apply(leadOne, another))
	told(apply.Configured, apply.Unchanged)(w.apply(leadTwo, another))
	told(apply.Unchanged, apply.Unchanged)(w.apply(leadTwo, another))
	if got := w.field(w.get(kube.KeyOf(w.object(leadTwo))), "data", "v"); got != "two" {
		t.Errorf("the value is %v", got)
	}
	// What somebody else put into it is looked at before it is written.
	w.settle(w.patch("somebody", kube.KeyOf(w.object(leadTwo)), "", `{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/ssa":"IfNotPresent"}}}`))
	told(apply.Skipped, apply.Unchanged)(w.apply(leadOne, another))
	// What cannot be changed in place is made anew, where that is allowed.
	w.req.Force = true
	told(apply.Created)(w.apply(leadJob))
	told(apply.Recreated)(w.apply(otherJob))
}
