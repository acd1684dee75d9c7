package apply

import (
	"testing"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

func TestExcused(t *testing.T) {
	t.Parallel()
	const name = "kustomize.toolkit.fluxcd.io/"
	for title, c := range map[string]struct {
		mark, value     string
		absent, present bool // excused when the object is not there, when it is
	}{
		"nothing":        {"x", "y", false, false},
		"override":       {"ssa", "Override", false, false},
		"merge":          {"ssa", "Merge", false, false},
		"if not present": {"ssa", "IfNotPresent", false, true},
		"ignore":         {"ssa", "Ignore", true, true},
		"in small":       {"ssa", "ignore", true, true},
		"reconcile":      {"reconcile", "disabled", true, true},
		"in large":       {"reconcile", "Disabled", true, true},
		"prune":          {"prune", "disabled", false, false},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			for _, where := range []string{"labels", "annotations"} {
				obj := edited(t, with(t, c.value, "metadata", where, name+c.mark))
				if got := excused(obj, false) != ""; got != c.absent {
					t.Errorf("absent, in %s: %q", where, excused(obj, false))
				}
				if got := excused(obj, true) != ""; got != c.present {
					t.Errorf("present, in %s: %q", where, excused(obj, true))
				}
			}
		})
	}
}

func TestMayRecreate(t *testing.T) {
	t.Parallel()
	const (
		job        = `{apiVersion: batch/v1, kind: Job, metadata: {name: a}}`
		namespace  = `{apiVersion: v1, kind: Namespace, metadata: {name: a}}`
		asks       = `{apiVersion: v1, kind: Namespace, metadata: {name: a, annotations: {kustomize.toolkit.fluxcd.io/force: Enabled}}}`
		definition = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a}}`
	)
	for name, c := range map[string]struct {
		object          string
		unforced, force bool
	}{
		"a Job":                     {job, false, true},
		"a Namespace":               {namespace, false, false},
		"a definition":              {definition, false, false},
		"a Namespace that asks for": {asks, true, true},
	} {
		if got := mayRecreate(parse(t, c.object), false); got != c.unforced {
			t.Errorf("%s: got %v", name, got)
		}
		if got := mayRecreate(parse(t, c.object), true); got != c.force {
			t.Errorf("%s, forced: got %v", name, got)
		}
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	const (
		done  = `{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}, spec: {ttlSecondsAfterFinished: 0}}`
		job   = `{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}}`
		once  = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b, labels: {kustomize.toolkit.fluxcd.io/ssa: IfNotPresent}}}`
		plain = `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}`
	)
	for name, c := range map[string]struct {
		object  string
		exists  bool // on the cluster, ours, changed by somebody
		written bool // we wrote it as it is wanted
		want    Action
		drifted bool
	}{
		"a Job that ran and expired":          {object: done, written: true, want: Unchanged},
		"a Job that expires, not run yet":     {object: done},
		"a Job that somebody deleted":         {object: job, written: true, drifted: true},
		"an object to be made once, gone":     {object: once, written: true, drifted: true},
		"an object to be made once, there":    {object: once, exists: true, written: true, want: Skipped},
		"an object that somebody changed":     {object: plain, exists: true, written: true, drifted: true},
		"an object of which nothing is known": {object: plain, exists: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := owned(parse(t, c.object), unit)
			view, written := records{}, map[kube.Key]Written{}
			if c.exists {
				view[kube.KeyOf(obj)] = live.Record{Owner: unit, Owned: drift.Hash{9}}
			}
			p := (&Applier{View: view}).planning(Request{Unit: unit, Written: written})
			change := p.wish(obj)
			if c.written {
				written[change.Key] = Written{Desired: change.hash, Owned: drift.Hash{1}}
			}
			got, decided := p.known(change)
			if got.Action != c.want || decided != (c.want != "") || got.drifted != c.drifted {
				t.Errorf("got %q, decided %v, drifted %v", got.Action, decided, got.drifted)
			}
		})
	}
}

func TestWishTellsIgnoredFieldsApart(t *testing.T) {
	t.Parallel()
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: b}}`
	const scaler = `{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: b}, spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}`
	ignores, err := drift.CompileIgnores([]drift.IgnoreRule{{Paths: []string{"/spec/replicas"}}})
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[drift.Hash]string{}
	for name, req := range map[string]Request{
		"plain":   {Objects: parseAll(t, deployment)},
		"ignored": {Objects: parseAll(t, deployment), Ignore: ignores},
		"scaled":  {Objects: parseAll(t, deployment, scaler)},
	} {
		hash := (&Applier{}).planning(req).wish(parse(t, deployment)).hash
		if other, taken := hashes[hash]; taken {
			t.Errorf("%s and %s are told apart by nothing", name, other)
		}
		hashes[hash] = name
	}
	if !newScaling(parseAll(t, scaler)).targets(kube.KeyOf(parse(t, deployment))) {
		t.Error("the autoscaler's target is not known")
	}
}
