package health_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/health"
)

// sealed is the example of the toolkit's documentation.
var sealed = health.Expressions{
	APIVersion: "bitnami.com/v1alpha1", Kind: "SealedSecret",
	Failed:  "status.conditions.filter(e, e.type == 'Synced').all(e, e.status == 'False')",
	Current: "status.conditions.filter(e, e.type == 'Synced').all(e, e.status == 'True')",
}

func kind(name, inProgress, failed, current string) health.Expressions {
	return health.Expressions{APIVersion: "example.com/v1", Kind: name, InProgress: inProgress, Failed: failed, Current: current}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	order := kind("Order", "status.phase == 'Working'", "status.phase in ['Working', 'Broken']", "true")
	strange := kind("Strange", "", "", "status.value")
	endless := kind("Endless", "", "", "spec.l.all(a, spec.l.all(b, spec.l.all(c, spec.l.all(d, a + b + c + d < 99999999))))")
	for name, c := range map[string]struct {
		object  string
		want    health.Status
		message string // its beginning
	}{
		"current":                      {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, status: {conditions: [{type: Synced, status: "True"}]}}`, health.Current, "Health check expression current is true"},
		"failed":                       {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, status: {conditions: [{type: Synced, status: "False"}]}}`, health.Failed, "Health check expression failed is true"},
		"another version of the kind":  {`{apiVersion: bitnami.com/v1, kind: SealedSecret, status: {conditions: [{type: Synced, status: "False"}]}}`, health.Failed, ""},
		"the same kind of elsewhere":   {`{apiVersion: example.com/v1, kind: SealedSecret, status: {conditions: [{type: Synced, status: "False"}]}}`, health.Current, "Resource is current"},
		"neither":                      {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, status: {conditions: [{type: Synced, status: Unknown}]}}`, health.InProgress, "Health check expression current is not true yet"},
		"what Ready says":              {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, status: {conditions: [{type: Synced, status: "False"}, {type: Ready, status: "False", message: no key}]}}`, health.Failed, "no key"},
		"no status yet":                {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret}`, health.InProgress, "Health check expression failed: no such attribute"},
		"being deleted":                {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {deletionTimestamp: "2025-01-01T00:00:00Z"}}`, health.Terminating, ""},
		"an old generation":            {`{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Synced, status: "True"}]}}`, health.InProgress, "The latest generation"},
		"inProgress comes first":       {`{apiVersion: example.com/v1, kind: Order, status: {phase: Working}}`, health.InProgress, "Health check expression inProgress is true"},
		"failed comes before current":  {`{apiVersion: example.com/v1, kind: Order, status: {phase: Broken}}`, health.Failed, ""},
		"current comes last":           {`{apiVersion: example.com/v1, kind: Order, status: {phase: Done}}`, health.Current, ""},
		"not yes or no":                {`{apiVersion: example.com/v1, kind: Strange, status: {value: 7}}`, health.InProgress, "Health check expression current: it is a value of type int"},
		"yes, by a field":              {`{apiVersion: example.com/v1, kind: Strange, status: {value: true}}`, health.Current, ""},
		"a kind without expressions":   {`{apiVersion: v1, kind: ConfigMap}`, health.Current, ""},
		"more work than it is granted": {`{apiVersion: example.com/v1, kind: Endless, spec: {l: [` + strings.Repeat("1,", 99) + `1]}}`, health.InProgress, "Health check expression current: operation cancelled: actual cost limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks, err := health.Compile([]health.Expressions{sealed, order, strange, endless})
			if err != nil {
				t.Fatal(err)
			}
			obj := decode(t, []byte(c.object))
			got := checks.Check(obj)
			if got.Status != c.want || !strings.HasPrefix(got.Message, c.message) || got.Message == "" {
				t.Errorf("got  %s: %s\nwant %s: %s", got.Status, got.Message, c.want, c.message)
			}
			if again := checks.Check(obj); again != got {
				t.Errorf("asked again: %v", again)
			}
		})
	}
}

func TestNoChecksIsOf(t *testing.T) {
	t.Parallel()
	var none *health.Checks
	obj := decode(t, []byte(`{apiVersion: v1, kind: Pod, status: {phase: Failed}}`))
	if got, want := none.Check(obj), health.Of(obj); got != want || !none.Empty() || none.Covers(obj.GroupVersionKind()) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := none.Check(nil); got.Status != health.NotFound {
		t.Errorf("got %v", got)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	checks, err := health.Compile([]health.Expressions{sealed})
	if err != nil {
		t.Fatal(err)
	}
	gvk := schema.FromAPIVersionAndKind(sealed.APIVersion, sealed.Kind)
	if !checks.Covers(gvk) || checks.Covers(schema.GroupVersionKind{Kind: "Pod"}) || checks.Empty() {
		t.Error("it covers the wrong kinds")
	}
}

func TestKindsOfAGroup(t *testing.T) {
	t.Parallel()
	checks, err := health.Compile([]health.Expressions{
		{APIVersion: "example.com/v1", Current: "true"}, {APIVersion: "example.com/v1", Kind: "Own", Current: "false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]health.Status{"Any": health.Current, "Own": health.InProgress} {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v2", "kind": kind}}
		if got := checks.Check(obj); got.Status != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
	if checks.Covers(schema.GroupVersionKind{Group: "other.example.com", Version: "v1", Kind: "Any"}) {
		t.Error("it covers another group")
	}
}

func TestCompileNamesTheExpression(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		list []health.Expressions
		want []string
	}{
		"syntax":           {[]health.Expressions{sealed, kind("A", "", "", "status.x ==")}, []string{`healthCheckExprs[1].current of A: "status.x ==" is not a CEL expression: character 12: Syntax error`}},
		"unknown function": {[]health.Expressions{kind("A", "", "now() > 1", "true")}, []string{`healthCheckExprs[0].failed of A: "now() > 1" is not a CEL expression: character 4: undeclared reference to 'now'`}},
		"not yes or no":    {[]health.Expressions{kind("A", "1 + 1", "", "true")}, []string{`healthCheckExprs[0].inProgress of A: "1 + 1" is a value of type int: write an expression that is true or false`}},
		"has of a name":    {[]health.Expressions{kind("A", "", "", "has(status)")}, []string{"healthCheckExprs[0].current of A", "has() macro"}},
		"no current":       {[]health.Expressions{kind("A", "", "true", "")}, []string{"healthCheckExprs[0].current is missing"}},
		"a bad group":      {[]health.Expressions{{APIVersion: "a/b/c", Kind: "A", Current: "true"}}, []string{`healthCheckExprs[0].apiVersion: "a/b/c" is not of the form group/version`}},
		"all that is wrong": {[]health.Expressions{kind("A", "", "", "("), kind("B", "", "", "]")},
			[]string{"healthCheckExprs[0].current of A", "healthCheckExprs[1].current of B"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := health.Compile(c.list)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	const lockstep = `dep.metadata.labels['app/version'] == self.metadata.labels['app/version'] &&
		dep.status.conditions.filter(e, e.type == 'Ready').all(e, e.status == 'True') &&
		dep.metadata.generation == dep.status.observedGeneration`
	self := `{apiVersion: v1, kind: K, metadata: {labels: {app/version: v1}}}`
	for name, c := range map[string]struct {
		text, dep string
		want      bool
		err       string
	}{
		"ready":         {text: lockstep, dep: `{kind: K, metadata: {generation: 3, labels: {app/version: v1}}, status: {observedGeneration: 3, conditions: [{type: Ready, status: "True"}]}}`, want: true},
		"behind":        {text: lockstep, dep: `{kind: K, metadata: {generation: 4, labels: {app/version: v1}}, status: {observedGeneration: 3, conditions: [{type: Ready, status: "True"}]}}`},
		"other version": {text: lockstep, dep: `{kind: K, metadata: {generation: 3, labels: {app/version: v2}}, status: {observedGeneration: 3}}`},
		"no field":      {text: "dep.spec.x == 1", dep: `{kind: K, metadata: {}}`, err: "readyExpr: no such key: spec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ready, err := health.CompileReadiness(c.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ready.Ready(decode(t, []byte(self)).Object, decode(t, []byte(c.dep)).Object)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestReadinessKnowsTwoVariables(t *testing.T) {
	t.Parallel()
	_, err := health.CompileReadiness("other.status.ready")
	if err == nil || !strings.Contains(err.Error(), "undeclared reference to 'other'") {
		t.Errorf("got %v", err)
	}
}

// FuzzCompile: whatever somebody writes is an expression or an error.
func FuzzCompile(f *testing.F) {
	f.Add(sealed.Current)
	f.Add("has(status) && ]")
	f.Add("type(status) == map && int(spec.a) > 1")
	f.Add("[1].map(x, x).exists(x, status[x])")
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		checks, err := health.Compile([]health.Expressions{kind("A", "", "", text)})
		if err != nil {
			return
		}
		if v := checks.Check(decode(t, []byte(`{apiVersion: example.com/v1, kind: A}`))); v.Status == "" || v.Message == "" {
			t.Errorf("no verdict for %q", text)
		}
	})
}
