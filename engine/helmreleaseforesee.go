package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/action"
	helmclient "github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// foreseeRelease is the end of a pass that writes nothing: what the step would do to
// the objects counts as done. Later steps, such as tests, are none of it.
func (e *Engine) foreseeRelease(ctx context.Context, p *releasePass, step helmrel.Step, f *found) (Outcome, error) {
	changes, err := e.foreseen(ctx, p, step, f)
	if err != nil {
		return Outcome{}, fail(meta.FailedReason, Retry, err)
	}
	p.note(changes, e.now())
	return Outcome{
		Reason: meta.SucceededReason, Message: fmt.Sprintf("would %s: %s", step.Action, step.Message), Revision: p.wish.Chart.Version,
		Next: Done, Actions: p.actions,
	}, nil
}

func (e *Engine) foreseen(ctx context.Context, p *releasePass, step helmrel.Step, f *found) (changes []apply.Change, err error) {
	former := ""
	if len(f.records) > 0 {
		former = f.records[0].Manifest
	}
	c := e.releaseClient(ctx, p, step.Action, f.records)
	defer func() { err = errors.Join(err, c.Close()) }()
	switch step.Action {
	case helmrel.Install, helmrel.Upgrade:
		job, leave, err := e.releaseJob(ctx, p, step, f, c)
		if err != nil {
			return nil, err
		}
		defer leave()
		would, err := action.Foresee(step, job)
		if err != nil {
			return nil, err
		}
		p.noteHooks(would.Hooks, e.now())
		return c.Foresee(would.Manifest, former, would.Definitions, would.Policy)
	case helmrel.Uninstall, helmrel.RemediateUninstall:
		return c.Foresee("", former, nil, "")
	case helmrel.CorrectDrift:
		return f.drift.Changes(), nil
	default:
		return nil, nil
	}
}

// note keeps what was, or would be, done to objects.
func (p *releasePass) note(changes []apply.Change, at time.Time) {
	for _, change := range changes {
		if change.Action != apply.Unchanged {
			p.actions = append(p.actions, Action{Key: change.Key, Verb: string(change.Action), Detail: detail(change), Drifted: change.Drifted(), Fields: change.Fields, At: at})
		}
	}
}

// noteHooks keeps which hooks would run.
func (p *releasePass) noteHooks(hooks []action.Hook, at time.Time) {
	for _, h := range hooks {
		key := kube.KeyOf(h.Object)
		key.Namespace = cmp.Or(key.Namespace, p.wish.Namespace)
		p.actions = append(p.actions, Action{Key: key, Verb: RunHook, Detail: h.At, At: at})
	}
}

// inventoryIn are the objects that a record's manifest names, and the definitions that
// the chart brought.
func (e *Engine) inventoryIn(p *releasePass, f *found) (keys []kube.Key, err error) {
	c := e.releaseClient(context.Background(), p, helmrel.None, f.records)
	defer func() { err = errors.Join(err, c.Close()) }()
	list, err := c.Build(strings.NewReader(f.records[0].Manifest), false)
	if err != nil {
		return nil, err
	}
	for _, info := range list {
		key := kube.Key{Version: info.Mapping.GroupVersionKind.Version}
		key.Namespace, key.Name, key.GroupKind = info.Namespace, info.Name, info.Mapping.GroupVersionKind.GroupKind()
		keys = append(keys, key)
	}
	if p.chart == nil || p.wish.CRDs(lastRelease(p)) == helmv2.CRDsSkip {
		return keys, nil
	}
	definitions, err := helmclient.Definitions(p.chart.Definitions())
	for _, obj := range definitions {
		keys = append(keys, kube.KeyOf(obj))
	}
	return keys, err
}

// lastRelease is the action that made the newest release.
func lastRelease(p *releasePass) helmrel.Action {
	if p.status.LastAttemptedReleaseAction == helmv2.ActionUpgrade {
		return helmrel.Upgrade
	}
	return helmrel.Install
}
