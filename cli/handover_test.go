package cli

import (
	"reflect"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/engine"
)

// itemFrom reads an object as it comes from the cluster.
func itemFrom(t *testing.T, text string) item {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &obj.Object); err != nil {
		t.Fatal(err)
	}
	i, err := itemOf(obj)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestProgressOfAStatus(t *testing.T) {
	t.Parallel()
	const head = "kind: Kustomization\nmetadata: {namespace: apps, name: web, generation: 2}\nspec: {sourceRef: {kind: GitRepository, name: repo}, dependsOn: [{name: db}]}\n"
	waiting := func(reason string, on ...string) engine.Outcome {
		return engine.Outcome{Next: engine.Wait, Reason: reason, Message: "m", On: on}
	}
	outcome := func(next engine.Next, reason, message, revision string) engine.Outcome {
		return engine.Outcome{Next: next, Reason: reason, Message: message, Revision: revision}
	}
	tests := []struct {
		name   string
		status string
		want   engine.Outcome
	}{
		{"no status yet", "{}", outcome(engine.Wait, meta.ProgressingReason, "", "")},
		{
			"ready", "{observedGeneration: 2, lastAppliedRevision: r1, conditions: [{type: Ready, status: 'True', reason: ReconciliationSucceeded, message: 'Applied revision: r1'}]}",
			outcome(engine.Done, kustomizev1.ReconciliationSucceededReason, "Applied revision: r1", "r1"),
		},
		{
			"ready at an older generation", "{observedGeneration: 1, lastAppliedRevision: r1, conditions: [{type: Ready, status: 'True', reason: ReconciliationSucceeded, message: m}]}",
			outcome(engine.Wait, meta.ProgressingReason, "m", "r1"),
		},
		{
			"waiting for health", "{observedGeneration: 2, conditions: [{type: Ready, status: Unknown, reason: Progressing, message: m}]}",
			outcome(engine.Wait, meta.ProgressingReason, "m", ""),
		},
		{
			"waiting for a dependency", "{observedGeneration: 2, conditions: [{type: Ready, status: 'False', reason: DependencyNotReady, message: m}]}",
			waiting(kustomizev1.DependencyNotReadyReason, "GitRepository/apps/repo", "Kustomization/apps/db"),
		},
		{
			"waiting for its source", "{observedGeneration: 2, conditions: [{type: Ready, status: 'False', reason: ArtifactFailed, message: m}]}",
			waiting(kustomizev1.ArtifactFailedReason, "GitRepository/apps/repo", "Kustomization/apps/db"),
		},
		{
			"failed", "{observedGeneration: 2, lastAppliedRevision: r1, conditions: [{type: Reconciling, status: 'True', reason: ProgressingWithRetry}, {type: Ready, status: 'False', reason: BuildFailed, message: m}]}",
			outcome(engine.Retry, kustomizev1.BuildFailedReason, "m", "r1"),
		},
		{"conditions without Ready", "{observedGeneration: 2, conditions: [{type: Healthy, status: 'True', reason: Succeeded}]}", outcome(engine.Wait, meta.ProgressingReason, "", "")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := engine.Progress{
				Kind: "Kustomization", Name: types.NamespacedName{Namespace: "apps", Name: "web"},
				Source: "GitRepository/apps/repo", Attempts: attempts, Outcome: test.want,
			}
			if got := itemFrom(t, head+"status: "+test.status).progress(); !reflect.DeepEqual(got, want) {
				t.Errorf("progress is\n%+v\nwant\n%+v", got, want)
			}
		})
	}
}

func TestProgressOfAnObject(t *testing.T) {
	t.Parallel()
	elsewhere := itemFrom(t, `
kind: Kustomization
metadata: {namespace: apps, name: web}
spec: {suspend: true, sourceRef: {kind: GitRepository, name: repo, namespace: flux-system}}
status: {inventory: {entries: [{id: a, v: v1}, {id: b, v: v1}]}}
`).progress()
	if elsewhere.Source != "GitRepository/flux-system/repo" || !elsewhere.Suspended || elsewhere.Objects != 2 {
		t.Errorf("progress is %+v: want suspended, with two objects, from the source in flux-system", elsewhere)
	}
	source := itemFrom(t, `
kind: GitRepository
metadata: {namespace: apps, name: repo, generation: 1}
spec: {url: "https://git.example.com/repo.git"}
status:
  observedGeneration: 1
  artifact: {revision: main@sha1:1}
  conditions: [{type: Ready, status: "True", reason: Succeeded, message: m}]
`).progress()
	want := endOf(repo, engine.Outcome{Next: engine.Done, Reason: meta.SucceededReason, Message: "m", Revision: "main@sha1:1"})
	want.Attempts = attempts
	if !reflect.DeepEqual(source, want) {
		t.Errorf("progress is\n%+v\nwant\n%+v", source, want)
	}
}

func TestHolderOfALease(t *testing.T) {
	t.Parallel()
	const spec = "{holderIdentity: plumb-1, renewTime: '2026-01-02T12:00:00.000000Z', leaseDurationSeconds: 15}"
	renewed := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, spec string
		now        time.Time
		want       string
	}{
		{"just renewed", spec, renewed, "plumb-1"},
		{"in its last moment", spec, renewed.Add(15 * time.Second), "plumb-1"},
		{"not renewed in time", spec, renewed.Add(15*time.Second + time.Nanosecond), ""},
		{"given back", "{holderIdentity: '', renewTime: '2026-01-02T12:00:00.000000Z', leaseDurationSeconds: 1}", renewed, ""},
		{"never taken", "{}", renewed, ""},
		{"without a duration", "{holderIdentity: plumb-1, renewTime: '2026-01-02T12:00:00.000000Z'}", renewed, ""},
		{"without a time", "{holderIdentity: plumb-1, leaseDurationSeconds: 15}", renewed, ""},
		{"of another shape", "{holderIdentity: [plumb-1]}", renewed, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			obj := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte("kind: Lease\nspec: "+test.spec), &obj.Object); err != nil {
				t.Fatal(err)
			}
			if got := holderOf(obj, test.now); got != test.want {
				t.Errorf("holder is %q, want %q", got, test.want)
			}
		})
	}
}

func TestItemIDIsThatOfItsProgress(t *testing.T) {
	t.Parallel()
	i := itemFrom(t, "kind: Kustomization\nmetadata: {namespace: apps, name: web}")
	if i.id() != unit("web") || i.progress().ID() != i.id() {
		t.Errorf("ids are %s and %s, want %s", i.id(), i.progress().ID(), unit("web"))
	}
}

func TestItemOfAnObjectOfAnotherShape(t *testing.T) {
	t.Parallel()
	obj := &unstructured.Unstructured{Object: map[string]any{
		"kind": "Kustomization", "metadata": map[string]any{"namespace": "apps", "name": "web"}, "spec": map[string]any{"suspend": "yes"},
	}}
	_, err := itemOf(obj)
	if err == nil || err.Error()[:len(unit("web"))] != unit("web") {
		t.Errorf("error is %v, want one that leads with %s", err, unit("web"))
	}
}
