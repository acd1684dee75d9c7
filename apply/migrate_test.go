package apply

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/drift"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func entry(manager string, operation metav1.ManagedFieldsOperationType, subresource, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, APIVersion: "v1", FieldsType: "FieldsV1", Subresource: subresource}
	if fields != "" {
		e.FieldsV1 = metav1.NewFieldsV1(fields)
	}
	return e
}

const (
	apply  = metav1.ManagedFieldsOperationApply
	update = metav1.ManagedFieldsOperationUpdate
)

func TestKubectlHolds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		entry map[string]any
		want  bool
	}{
		"client-side apply": {map[string]any{"manager": "kubectl-client-side-apply", "operation": "Update"}, true},
		"server-side apply": {map[string]any{"manager": "kubectl", "operation": "Apply"}, true},
		"edit":              {map[string]any{"manager": "kubectl-edit", "operation": "Update"}, true},
		"scale":             {map[string]any{"manager": "kubectl", "operation": "Update", "subresource": "scale"}, true},
		"us":                {map[string]any{"manager": manager, "operation": "Apply"}, false},
		"a controller":      {map[string]any{"manager": "kube-controller-manager", "operation": "Update"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := slices.ContainsFunc(edited(t, managedBy(t, c.entry)).GetManagedFields(), byKubectl); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if slices.ContainsFunc((&unstructured.Unstructured{}).GetManagedFields(), byKubectl) {
		t.Error("kubectl holds fields of nothing")
	}
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	controller := entry("hpa", update, "", `{"f:spec":{"f:replicas":{}}}`)
	scale := entry("kubectl", update, "scale", `{"f:spec":{"f:replicas":{}}}`)
	for name, c := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		others  []metav1.ManagedFieldsEntry
		ours    string
	}{
		"from kubectl alone": {
			[]metav1.ManagedFieldsEntry{entry("kubectl-client-side-apply", update, "", `{"f:data":{"f:a":{}}}`)},
			nil, `{"f:data":{"f:a":{}}}`},
		"added to what is ours": {
			[]metav1.ManagedFieldsEntry{
				entry(manager, apply, "", `{"f:data":{".":{},"f:a":{}}}`),
				entry("kubectl", apply, "", `{"f:data":{"f:b":{}}}`),
				entry("kubectl-edit", update, "", `{"f:data":{"f:b":{},"f:c":{}}}`)},
			nil, `{"f:data":{".":{},"f:a":{},"f:b":{},"f:c":{}}}`},
		"list items and sets": {
			[]metav1.ManagedFieldsEntry{
				entry(manager, apply, "", `{"f:l":{"k:{\"name\":\"a\"}":{".":{},"f:x":{}}}}`),
				entry("kubectl", update, "", `{"f:l":{"k:{\"name\":\"a\"}":{"f:y":{}},"k:{\"name\":\"b\"}":{".":{}}},"f:s":{"v:\"x\"":{}}}`)},
			nil, `{"f:l":{"k:{\"name\":\"a\"}":{".":{},"f:x":{},"f:y":{}},"k:{\"name\":\"b\"}":{}},"f:s":{"v:\"x\"":{}}}`},
		"others keep theirs": {
			[]metav1.ManagedFieldsEntry{controller, entry("kubectl", update, "", `{"f:data":{"f:a":{}}}`), scale},
			[]metav1.ManagedFieldsEntry{controller}, `{"f:data":{"f:a":{}},"f:spec":{"f:replicas":{}}}`},
		"entries without fields": {
			[]metav1.ManagedFieldsEntry{entry("kubectl", update, "", ""), entry(manager, apply, "", `{"f:data":{"f:a":{}}}`)},
			nil, `{"f:data":{"f:a":{}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := takeOver(manager, byKubectl, c.entries, "v1", nil)
			if err != nil {
				t.Fatal(err)
			}
			last := got[len(got)-1]
			if len(got) != len(c.others)+1 || len(c.others) > 0 && !reflect.DeepEqual(got[:len(got)-1], c.others) {
				t.Errorf("the others are %v, want %v", got[:len(got)-1], c.others)
			}
			if last.Manager != manager || last.Operation != apply || last.APIVersion != "v1" || last.FieldsType != "FieldsV1" || last.Subresource != "" || last.Time == nil {
				t.Errorf("our entry is %+v", last)
			}
			if !sameJSON(t, last.FieldsV1.GetRawBytes(), []byte(c.ours)) {
				t.Errorf("ours are %s, want %s", last.FieldsV1.GetRawBytes(), c.ours)
			}
		})
	}
}

func TestTakeOverKeepsTheRestart(t *testing.T) {
	t.Parallel()
	const (
		place   = `{"f:spec":{"f:template":{"f:metadata":{"f:annotations":{%s}}}}}`
		restart = `"f:kubectl.kubernetes.io/restartedAt":{}`
	)
	entries := []metav1.ManagedFieldsEntry{entry("kubectl-rollout", update, "", fmt.Sprintf(place, restart+`,"f:x":{}`))}
	for range 2 { // the second time the keeper is there already
		got, err := takeOver(manager, byKubectl, entries, "v1", drift.Rules{}.Kept(schema.GroupKind{Group: "apps", Kind: "Deployment"}))
		if err != nil || len(got) != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
		if got[0].Manager != keeper || got[0].Operation != update || !sameJSON(t, got[0].FieldsV1.GetRawBytes(), []byte(fmt.Sprintf(place, restart))) {
			t.Errorf("the keeper has %v", got[0])
		}
		if got[1].Manager != manager || !sameJSON(t, got[1].FieldsV1.GetRawBytes(), []byte(fmt.Sprintf(place, `"f:x":{}`))) {
			t.Errorf("we have %v", got[1])
		}
		entries = got
	}
}

func TestTakeOverAgainChangesNothing(t *testing.T) {
	t.Parallel()
	once, err := takeOver(manager, byKubectl, []metav1.ManagedFieldsEntry{entry("kubectl", update, "", `{"f:data":{"f:a":{}}}`)}, "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := takeOver(manager, byKubectl, once, "v1", nil)
	if err != nil || len(twice) != 1 || !sameJSON(t, once[0].FieldsV1.GetRawBytes(), twice[0].FieldsV1.GetRawBytes()) {
		t.Errorf("got %v, %v, want %v", twice, err, once)
	}
}

func TestTakeOverRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	if got, err := takeOver(manager, byKubectl, []metav1.ManagedFieldsEntry{entry("kubectl", update, "", `{"f:data"`)}, "v1", nil); err == nil {
		t.Errorf("got %v, want an error", got)
	}
	unread := entry("somebody", update, "", `{"f:data"`)
	if got, err := takeOver(manager, byKubectl, []metav1.ManagedFieldsEntry{unread}, "v1", nil); err != nil || len(got) != 2 || !reflect.DeepEqual(got[0], unread) {
		t.Errorf("got %v, %v: what others hold is none of our business", got, err)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
