package action

import (
	"cmp"
	"fmt"
	"slices"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/helmrel"
)

// Prospect is what an install or an upgrade would write.
type Prospect struct {
	Manifest    string
	Hooks       []Hook   // that it would run
	Definitions [][]byte // files with those that the chart brings
	Policy      string   // what becomes of these
}

// Hook is an object that an action makes, waits for and may remove again: no part of
// the release.
type Hook struct {
	Object *unstructured.Unstructured // its namespace is "" where the chart names none
	At     string                     // what it runs at: pre-install, post-upgrade
}

// Foresee is what a step would write, an install or an upgrade. Nothing is written.
func Foresee(step helmrel.Step, job Job) (*Prospect, error) {
	upgrade, values, skip, noHooks := step.Action == helmrel.Upgrade, job.Values, false, false
	if u := job.Wish.Spec.Upgrade; upgrade && u != nil {
		skip, noHooks = u.DisableSchemaValidation, u.DisableHooks
		if u.PreserveValues && job.newest() > 0 {
			last, err := job.Records.Get(key(job.Wish.Name, job.newest()))
			if err != nil {
				return nil, err
			}
			values = chartutil.CoalesceTables(cloned(values), last.Config)
		}
	} else if i := job.Wish.Spec.Install; !upgrade && i != nil {
		skip, noHooks = i.DisableSchemaValidation, i.DisableHooks
	}
	out, err := job.render(upgrade, values, skip)
	if err != nil {
		return nil, err
	}
	if r := job.PostRenderer; r != nil {
		if out.Manifest, out.Hooks, err = r.Apply(out.Manifest, out.Hooks); err != nil {
			return nil, err
		}
	}
	p := &Prospect{Manifest: out.Manifest, Definitions: out.Definitions, Policy: job.Wish.CRDs(step.Action)}
	if !noHooks {
		p.Hooks, err = runBy(out.Hooks, upgrade)
	}
	return p, err
}

// runBy are the hooks that an install or an upgrade runs, in the order of that.
func runBy(hooks []*release.Hook, upgrade bool) (out []Hook, err error) {
	events := []release.HookEvent{release.HookPreInstall, release.HookPostInstall}
	if upgrade {
		events = []release.HookEvent{release.HookPreUpgrade, release.HookPostUpgrade}
	}
	hooks = slices.Clone(hooks)
	slices.SortStableFunc(hooks, func(a, b *release.Hook) int {
		return cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Name, b.Name)) // as the SDK runs them
	})
	for _, event := range events {
		for _, h := range hooks {
			if !slices.Contains(h.Events, event) {
				continue
			}
			obj := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(h.Manifest), &obj.Object); err != nil {
				return nil, fmt.Errorf("hook %s: %w", h.Path, err)
			}
			out = append(out, Hook{obj, event.String()})
		}
	}
	return out, nil
}
