package apply

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  func(*unstructured.Unstructured)
		unknown bool
		want    Action
		migrate bool
	}{
		"nothing differs":                   {answer: func(*unstructured.Unstructured) {}, want: Unchanged},
		"only bookkeeping differs":          {answer: with(t, "11", "metadata", "resourceVersion"), want: Unchanged},
		"only status differs":               {answer: with(t, "x", "status", "phase"), want: Unchanged},
		"not there yet":                     {answer: with(t, "", "metadata", "resourceVersion"), unknown: true, want: Created},
		"not there any more":                {answer: with(t, "", "metadata", "resourceVersion"), want: Created},
		"there without our labels":          {answer: func(*unstructured.Unstructured) {}, unknown: true, want: Configured},
		"a value differs":                   {answer: with(t, "9", "data", "a"), want: Configured},
		"a value of somebody else's":        {answer: with(t, "9", "data", "b"), want: Configured},
		"we would own more":                 {answer: managedBy(t, map[string]any{"manager": manager, "operation": "Apply", "fieldsV1": map[string]any{"f:data": map[string]any{}}}), want: Configured},
		"we would own it at last":           {answer: managedBy(t), want: Configured},
		"kubectl applied, client-side":      {answer: managedBy(t, map[string]any{"manager": "kubectl-client-side-apply", "operation": "Update"}), want: Configured, migrate: true},
		"kubectl applied, server-side":      {answer: managedBy(t, map[string]any{"manager": "kubectl", "operation": "Apply"}), want: Configured, migrate: true},
		"kubectl holds fields of a new one": {answer: both(with(t, "", "metadata", "resourceVersion"), managedBy(t, map[string]any{"manager": "kubectl-edit", "operation": "Update"})), unknown: true, want: Created, migrate: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record := live.Reduce(kustomizev1.KustomizationKind, parse(t, configMap))
			if c.unknown {
				record = live.Record{}
			}
			got := (&Applier{}).planning(Request{Unit: unit}).judge(Change{Reason: "kept"}, edited(t, c.answer), record, !c.unknown)
			if got.Action != c.want || got.migrate != c.migrate || got.Reason != "kept" {
				t.Errorf("got %s, migrate %v, want %s, migrate %v", got.Action, got.migrate, c.want, c.migrate)
			}
		})
	}
}

func both(a, b func(*unstructured.Unstructured)) func(*unstructured.Unstructured) {
	return func(obj *unstructured.Unstructured) { a(obj); b(obj) }
}

func FuzzJudge(f *testing.F) {
	f.Add(`{"kind":"T","metadata":{"managedFields":[null,{"fieldsV1":{"f:a":{}}},{"manager":"kubectl"}]}}`, true)
	f.Add(`{"kind":"T","metadata":{"resourceVersion":1,"managedFields":{}}}`, true)
	f.Add(`{"kind":"T","metadata":"none"}`, false)
	f.Fuzz(func(t *testing.T, text string, known bool) {
		answer := &unstructured.Unstructured{}
		if answer.UnmarshalJSON([]byte(text)) != nil {
			return
		}
		if got := (&Applier{}).planning(Request{Unit: unit}).judge(Change{}, answer, live.Record{}, known); got.Action == "" {
			t.Error("no decision")
		}
	})
}

func TestUntouched(t *testing.T) {
	t.Parallel()
	wanted, held := drift.Hash{1}, drift.Hash{2}
	for name, c := range map[string]struct {
		hash    drift.Hash
		written Written
		record  live.Record
		unknown bool
		want    bool
	}{
		"as we left it":        {hash: wanted, written: Written{Desired: wanted, Owned: held}, record: live.Record{Owned: held}, want: true},
		"we want another":      {hash: drift.Hash{3}, written: Written{Desired: wanted, Owned: held}, record: live.Record{Owned: held}},
		"somebody changed it":  {hash: wanted, written: Written{Desired: wanted, Owned: held}, record: live.Record{Owned: drift.Hash{3}}},
		"somebody deletes it":  {hash: wanted, written: Written{Desired: wanted, Owned: held}, record: live.Record{Owned: held, Deleting: true}},
		"it is not there":      {hash: wanted, written: Written{Desired: wanted, Owned: held}, record: live.Record{Owned: held}, unknown: true},
		"we never wrote it":    {hash: wanted, record: live.Record{Owned: held}},
		"nothing of ours":      {hash: drift.Hash{}, record: live.Record{}},
		"foreign content only": {hash: wanted, written: Written{Desired: wanted, Owned: held}, record: live.Record{Owned: held, Content: drift.Hash{9}}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := untouched(c.hash, c.written, c.record, !c.unknown); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	other := live.User{Kind: unit.Kind, NamespacedName: types.NamespacedName{Namespace: "flux-system", Name: "other"}}
	for name, c := range map[string]struct {
		owner   live.User
		claimed bool
		exists  bool
		want    bool
	}{
		"ours":                              {owner: unit, claimed: true, exists: true},
		"another's, once ours":              {owner: other, claimed: true, exists: true, want: true},
		"another's, never ours: we take it": {owner: other, exists: true},
		"of a unit that is gone":            {owner: other, claimed: true},
		"nobody's":                          {claimed: true, exists: true},
		"of our name, elsewhere":            {owner: live.User{Kind: unit.Kind, NamespacedName: types.NamespacedName{Namespace: "x", Name: unit.Name}}, claimed: true, exists: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exists := func(live.User) bool { return c.exists }
			if got := taken(unit, live.Record{Owner: c.owner}, c.claimed, exists); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestPlanIsEmptyWithoutWrites(t *testing.T) {
	t.Parallel()
	for action, writes := range map[Action]bool{
		Created: true, Configured: true, Recreated: true,
		Unchanged: false, Skipped: false, Deleted: false, Failed: false,
	} {
		plan := Plan{Stages: [][]Change{{}, {{Action: Unchanged}, {Action: action}}}}
		if plan.Empty() == writes {
			t.Errorf("%s: empty is %v", action, plan.Empty())
		}
	}
	if !(Plan{}).Empty() {
		t.Error("a plan of nothing writes")
	}
}

func TestChangesComeInOrder(t *testing.T) {
	t.Parallel()
	named := func(kind, name string) Change {
		return Change{Key: key(t, "{apiVersion: v1, kind: "+kind+", metadata: {name: "+name+"}}")}
	}
	stage := []Change{named("Secret", "b"), named("ConfigMap", "c"), named("Secret", "a")}
	sortChanges(stage)
	got := Plan{Stages: [][]Change{{named("Namespace", "z")}, stage}}.Changes()
	for i, want := range []string{"Namespace/z", "ConfigMap/c", "Secret/a", "Secret/b"} {
		if got[i].Key.String() != want {
			t.Errorf("change %d is %s, want %s", i, got[i].Key, want)
		}
	}
}

// records is a live view with nothing but records.
type records map[kube.Key]live.Record

func (r records) Get(_ string, key kube.Key) (live.Record, bool) {
	record, ok := r[key]
	return record, ok
}

func (r records) Observe(_ string, obj *unstructured.Unstructured) live.Record {
	return live.Reduce(kustomizev1.KustomizationKind, obj)
}

func (r records) Use(live.User, map[schema.GroupVersionKind]bool) error { return nil }

func (r records) Sync(context.Context, string, schema.GroupVersionKind) error { return nil }

func TestKnownWithoutRequest(t *testing.T) {
	t.Parallel()
	hash := drift.Content(parse(t, configMap))
	owned := live.Reduce(kustomizev1.KustomizationKind, parse(t, configMap)).Owned
	frozen := func(r *live.Record) { r.Frozen = true }
	for name, c := range map[string]struct {
		written Written
		desired func(*unstructured.Unstructured)
		live    func(*live.Record) // nil when the view has no record
		want    Action
		drifted bool
	}{
		"as we left it":            {written: Written{Desired: hash, Owned: owned}, live: func(*live.Record) {}, want: Unchanged},
		"as we left it, frozen":    {written: Written{Desired: hash, Owned: owned}, live: frozen, want: Unchanged},
		"frozen on the cluster":    {live: frozen, want: Skipped},
		"frozen in the source":     {desired: with(t, "disabled", "metadata", "annotations", "kustomize.toolkit.fluxcd.io/reconcile"), want: Skipped},
		"new":                      {},
		"seen for the first time":  {live: func(*live.Record) {}},
		"wanted otherwise":         {written: Written{Desired: drift.Hash{1}, Owned: owned}, live: func(*live.Record) {}},
		"changed behind our back":  {written: Written{Desired: hash, Owned: drift.Hash{1}}, live: func(*live.Record) {}, drifted: true},
		"deleted behind our back":  {written: Written{Desired: hash, Owned: owned}, drifted: true},
		"relabelled by another":    {written: Written{Desired: hash, Owned: owned}, live: func(r *live.Record) { r.Owner.Name = "x" }, drifted: true},
		"deletion is under way":    {written: Written{Desired: hash, Owned: owned}, live: func(r *live.Record) { r.Deleting = true }, drifted: true},
		"frozen and behind source": {written: Written{Desired: drift.Hash{1}, Owned: owned}, live: frozen, want: Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			desired := parse(t, configMap)
			if c.desired != nil {
				c.desired(desired)
			}
			change := Change{Key: kube.KeyOf(desired), desired: desired, hash: hash}
			view := records{}
			if c.live != nil {
				r := live.Reduce(kustomizev1.KustomizationKind, parse(t, configMap))
				c.live(&r)
				view[change.Key] = r
			}
			applier := &Applier{View: view}
			p := applier.planning(Request{Unit: unit, Written: map[kube.Key]Written{change.Key: c.written}})
			got, done := p.known(change)
			if got.Action != c.want || done != (c.want != "") || got.drifted != c.drifted {
				t.Errorf("got %q, done %v, drifted %v, want %q, drifted %v", got.Action, done, got.drifted, c.want, c.drifted)
			}
		})
	}
}

func TestObjectsOfNewNamespacesAreDeferred(t *testing.T) {
	t.Parallel()
	p := (&Applier{}).planning(Request{Unit: unit})
	space := Change{Key: key(t, "{apiVersion: v1, kind: Namespace, metadata: {name: new}}"), Action: Created}
	old := Change{Key: key(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"), Action: Unchanged}
	p.noteNew([]Change{space, old})
	later := [][]Change{{
		wanted(t, "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: new}}"),
		wanted(t, configMap),
		wanted(t, "{apiVersion: v1, kind: Node, metadata: {name: new}}"),
		wanted(t, "{apiVersion: v1, kind: Secret, metadata: {name: b, namespace: new, annotations: {kustomize.toolkit.fluxcd.io/reconcile: disabled}}}"),
	}}
	p.deferUntried(later)
	for i, want := range []bool{true, false, false, false} {
		if c := later[0][i]; c.deferred != want || (c.Action == Created) != want {
			t.Errorf("%s: deferred is %v, action %q", c.Key, c.deferred, c.Action)
		}
	}
	if !anyDeferred(later) || anyDeferred([][]Change{{space}, nil}) {
		t.Error("deferred changes are not found, or others are")
	}
}

func TestDefinitionsAreReadyWhenServed(t *testing.T) {
	t.Parallel()
	served := parse(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x.example.com}, status: {conditions: [{type: Established, status: "True"}]}}`)
	unserved := parse(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x.example.com}}`)
	before := []Change{{Key: kube.KeyOf(served)}, {Key: key(t, configMap)}}
	later := [][]Change{{{deferred: true}}}
	for name, c := range map[string]struct {
		view  records
		later [][]Change
		want  string
	}{
		"served":                   {records{kube.KeyOf(served): live.Reduce(kustomizev1.KustomizationKind, served)}, later, ""},
		"not served yet":           {records{kube.KeyOf(served): live.Reduce(kustomizev1.KustomizationKind, unserved)}, later, "waiting for CustomResourceDefinition/x.example.com before what depends on it can be applied"},
		"not seen yet":             {records{}, later, "waiting for CustomResourceDefinition/x.example.com before what depends on it can be applied"},
		"nobody waits for it":      {records{}, [][]Change{{{}}}, ""},
		"nothing after this stage": {records{}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := ""
			if err := (&Applier{View: c.view}).planning(Request{Unit: unit}).ready(before, c.later); err != nil {
				text = err.Error()
			}
			if text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

func wanted(t *testing.T, manifest string) Change {
	t.Helper()
	return Change{Key: key(t, manifest), desired: parse(t, manifest)}
}
