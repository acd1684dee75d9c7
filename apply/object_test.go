package apply

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/live"
)

func TestOwned(t *testing.T) {
	t.Parallel()
	const ours = "kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system"
	for name, c := range map[string]struct{ source, sent string }{
		"labels are added": {
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {app: a}}}`,
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {app: a, ` + ours + `}}}`},
		"another unit's labels are replaced": {
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {kustomize.toolkit.fluxcd.io/name: x}}}`,
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {` + ours + `}}}`},
		"labels that are null count as none": {
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: null}}`,
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {` + ours + `}}}`},
		"status and creation time are the server's": {
			`{apiVersion: v1, kind: Service, metadata: {name: a, creationTimestamp: null}, status: {loadBalancer: {}}}`,
			`{apiVersion: v1, kind: Service, metadata: {name: a, labels: {` + ours + `}}}`},
		"stringData is encoded over data": {
			`{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {a: eA==, b: eQ==}, stringData: {a: z}}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {` + ours + `}}, data: {a: eg==, b: eQ==}}`},
		"stringData is encoded without data": {
			`{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: "", b: "ÿ\n"}}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {` + ours + `}}, data: {a: "", b: w78K}}`},
		"empty stringData goes": {
			`{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {}}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {` + ours + `}}}`},
		"stringData of numbers is for the server to refuse": {
			`{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {pin: 1234}}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: a, labels: {` + ours + `}}, stringData: {pin: 1234}}`},
		"stringData of other kinds is theirs": {
			`{apiVersion: example.com/v1, kind: Secret, metadata: {name: a}, stringData: {a: z}}`,
			`{apiVersion: example.com/v1, kind: Secret, metadata: {name: a, labels: {` + ours + `}}, stringData: {a: z}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := parse(t, c.source)
			if got, want := owned(source, unit), parse(t, c.sent); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if !reflect.DeepEqual(source, parse(t, c.source)) {
				t.Error("the source object was changed")
			}
		})
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		object     string
		namespaced bool
		want       string // the namespace
		err        string
	}{
		"in its namespace":             {`{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}}`, true, "shop", ""},
		"cluster-wide":                 {`{apiVersion: v1, kind: Node, metadata: {name: a}}`, false, "", ""},
		"cluster-wide, with namespace": {`{apiVersion: v1, kind: Node, metadata: {name: a, namespace: shop}}`, false, "", ""},
		"nowhere": {`{apiVersion: v1, kind: Service, metadata: {name: a}}`, true, "",
			"Service/a has no namespace: set its metadata.namespace, or spec.targetNamespace of the Kustomization"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := parse(t, c.object)
			text := ""
			if err := place(obj, c.namespaced); err != nil {
				text = err.Error()
			}
			if text != c.err || obj.GetNamespace() != c.want {
				t.Errorf("got %q in %q, want %q in %q", text, obj.GetNamespace(), c.err, c.want)
			}
		})
	}
}

func TestFrozen(t *testing.T) {
	t.Parallel()
	const mark = "kustomize.toolkit.fluxcd.io/reconcile"
	for name, c := range map[string]struct {
		edit func(*unstructured.Unstructured)
		live live.Record
		want bool
	}{
		"unmarked":              {edit: func(*unstructured.Unstructured) {}},
		"marked by annotation":  {edit: with(t, "disabled", "metadata", "annotations", mark), want: true},
		"marked by label":       {edit: with(t, "disabled", "metadata", "labels", mark), want: true},
		"marked enabled":        {edit: with(t, "enabled", "metadata", "annotations", mark)},
		"marked on the cluster": {edit: func(*unstructured.Unstructured) {}, live: live.Record{Frozen: true}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := frozen(edited(t, c.edit), c.live); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestForced(t *testing.T) {
	t.Parallel()
	const mark = "kustomize.toolkit.fluxcd.io/force"
	for value, want := range map[string]bool{"enabled": true, "Enabled": true, "disabled": false, "": false} {
		if got := forced(edited(t, with(t, value, "metadata", "annotations", mark))); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
	if !forced(edited(t, with(t, "enabled", "metadata", "labels", mark))) {
		t.Error("a label does not force")
	}
}

func TestProvides(t *testing.T) {
	t.Parallel()
	got := provides(parseAll(t,
		`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}, spec: {group: example.com, names: {kind: Database}}}`,
		`{apiVersion: apiextensions.k8s.io/v1beta1, kind: CustomResourceDefinition, metadata: {name: y}, spec: {group: example.com, names: {kind: Queue}}}`,
		`{apiVersion: example.com/v1, kind: CustomResourceDefinition, metadata: {name: z}, spec: {group: other.com, names: {kind: Other}}}`,
		`{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.metrics.example.com}, spec: {group: metrics.example.com, version: v1}}`,
		`{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`,
		`{apiVersion: example.com/v1, kind: Namespace, metadata: {name: other}}`,
		configMap,
	))
	want := provided{
		kinds:  map[schema.GroupKind]bool{{Group: "example.com", Kind: "Database"}: true, {Group: "example.com", Kind: "Queue"}: true},
		groups: map[schema.GroupVersion]bool{{Group: "metrics.example.com", Version: "v1"}: true},
	}
	for kind, c := range map[string]struct {
		stage int
		comes bool
	}{"example.com/v1 Database": {2, true}, "metrics.example.com/v1 Load": {lastStage, true}, "metrics.example.com/v2 Load": {lastStage, false}} {
		version, name, _ := strings.Cut(kind, " ")
		if stage, comes := got.stage(schema.FromAPIVersionAndKind(version, name)); stage != c.stage || comes != c.comes {
			t.Errorf("%s: got stage %d, %v", kind, stage, comes)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if empty := provides(nil); len(empty.kinds) > 0 {
		t.Errorf("nothing provides %v", empty)
	}
}
