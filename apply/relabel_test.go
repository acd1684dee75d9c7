package apply

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

func TestFree(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"app": true, "app.kubernetes.io/version": true, "helm.sh/chart": true, "example.com/a": true, "notkubernetes.io/a": true,
		"kubernetes.io/metadata.name": false, "pod-security.kubernetes.io/enforce": false, "volume.beta.kubernetes.io/storage-class": false,
		"rbac.authorization.k8s.io/aggregate-to-admin": false, "k8s.io/a": false, "kustomize.toolkit.fluxcd.io/ssa": false,
		"plumb-gitops.github.io/claim": false,
	} {
		if got := free(name); got != want {
			t.Errorf("%s: got %t, want %t", name, got, want)
		}
	}
}

// TestBody: what differs in free labels and annotations only has the same body.
func TestBody(t *testing.T) {
	t.Parallel()
	const kind = "apiVersion: v1\nkind: Service\n"
	base := body(parsed(t, kind+"metadata: {name: a, namespace: b}\nspec: {ports: [{port: 80}]}"))
	for text, same := range map[string]bool{
		"metadata: {name: a, namespace: b, labels: {x: y}, annotations: {example.com/v: '2'}}\nspec: {ports: [{port: 80}]}":        true,
		"metadata: {name: a, namespace: b, labels: {app.kubernetes.io/version: '2'}}\nspec: {ports: [{port: 80}]}":                 true,
		"metadata: {name: a, namespace: b}\nspec: {ports: [{port: 81}]}":                                                           false,
		"metadata: {name: a, namespace: b, annotations: {service.kubernetes.io/topology-mode: Auto}}\nspec: {ports: [{port: 80}]}": false,
		"metadata: {name: a, namespace: b, finalizers: [example.com/a]}\nspec: {ports: [{port: 80}]}":                              false,
		"metadata: {name: a, namespace: b, labels: {kustomize.toolkit.fluxcd.io/ssa: Merge}}\nspec: {ports: [{port: 80}]}":         false,
	} {
		if got := body(parsed(t, kind+text)) == base; got != same {
			t.Errorf("%s: got %t", text, got)
		}
	}
}

// TestRelabels: only an object that is as we left it, and whose body is, needs no dry run.
func TestRelabels(t *testing.T) {
	t.Parallel()
	desired := parsed(t, "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b, labels: {version: '2'}}\nspec: {ports: [{port: 80}]}")
	key, unit := kube.KeyOf(desired), live.User{Kind: "Kustomization"}
	same := Written{Desired: drift.Hash{1}, Owned: drift.Hash{2}, Body: body(desired)}
	as := live.Record{Owner: unit, Owned: drift.Hash{2}, Alone: true}
	for name, c := range map[string]struct {
		written Written
		record  live.Record
		absent  bool
		facts   *Facts
		change  func(*Change, *Request)
		want    bool
	}{
		"only a label":                {written: same, record: as, facts: &Facts{}, want: true},
		"no facts":                    {written: same, record: as},
		"another body":                {written: Written{Desired: drift.Hash{1}, Owned: drift.Hash{2}, Body: drift.Hash{3}}, record: as, facts: &Facts{}},
		"a body that is not known":    {written: Written{Desired: drift.Hash{1}, Owned: drift.Hash{2}}, record: as, facts: &Facts{}},
		"not there":                   {written: same, absent: true, facts: &Facts{}},
		"somebody changed it":         {written: same, record: live.Record{Owner: unit, Owned: drift.Hash{9}, Alone: true}, facts: &Facts{}},
		"somebody holds fields of it": {written: same, record: live.Record{Owner: unit, Owned: drift.Hash{2}}, facts: &Facts{}},
		"another unit's":              {written: same, record: live.Record{Owner: live.User{Kind: "HelmRelease"}, Owned: drift.Hash{2}, Alone: true}, facts: &Facts{}},
		"a preview":                   {written: same, record: as, facts: &Facts{}, change: func(_ *Change, r *Request) { r.Leads = false }},
		"drift is only told":          {written: same, record: as, facts: &Facts{}, change: func(_ *Change, r *Request) { r.ReportDrift = true }},
		"a label that is none": {written: same, record: as, facts: &Facts{}, change: func(c *Change, _ *Request) {
			c.desired = parsed(t, "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b, labels: {version: 'no label'}}\nspec: {ports: [{port: 80}]}")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			view := records{}
			if !c.absent {
				view[key] = c.record
			}
			change := Change{Key: key, desired: desired, body: body(desired)}
			req := Request{Unit: unit, Leads: true, Written: map[kube.Key]Written{key: c.written}}
			if c.change != nil {
				c.change(&change, &req)
			}
			p := (&Applier{View: view, Facts: c.facts}).planning(req)
			if got := p.relabels(change); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// TestFacts: what is known is not found out again, for a while; what failed is.
func TestFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, asked := &Facts{}, 0
		find := func(err error) func() (int, error) {
			return func() (int, error) { asked++; return asked, err }
		}
		expect := func(key string, want, times int, err error) {
			t.Helper()
			got, gotErr := remembered(f, key, find(err))
			if got != want || asked != times || !errors.Is(gotErr, err) {
				t.Errorf("%s: got %d, asked %d times, %v", key, got, asked, gotErr)
			}
		}
		failed := errors.New("failed")
		expect("a", 1, 1, failed)
		expect("a", 2, 2, nil)
		expect("a", 2, 2, nil)
		expect("b", 3, 3, nil)
		<-time.After(factsLast)
		expect("a", 4, 4, nil)
		if len(f.found) != 1 {
			t.Errorf("it keeps %v", f.found)
		}
	})
}

// TestBodyOfWhatIsSentWhole: of an object of which something is left alone nobody knows
// whether the server would take all of it.
func TestBodyOfWhatIsSentWhole(t *testing.T) {
	t.Parallel()
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\ndata: {c: d}"
	ignores, err := drift.CompileIgnores([]drift.IgnoreRule{{Paths: []string{"/data/c"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change  Change
		request Request
		want    bool
	}{
		"whole":             {want: true},
		"a field ignored":   {request: Request{Ignore: ignores}},
		"merged":            {change: Change{merges: true}},
		"drift only told":   {request: Request{ReportDrift: true}},
		"known from before": {change: Change{body: drift.Hash{1}, merges: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.change.desired = parsed(t, object)
			c.change.Key = kube.KeyOf(c.change.desired)
			got, done := (&Applier{View: records{}}).planning(c.request).known(c.change)
			if done || (got.body != drift.Hash{}) != c.want {
				t.Errorf("decided %v, body %x", done, got.body)
			}
		})
	}
}
