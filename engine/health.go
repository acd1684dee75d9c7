package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// healthy tells whether all that the unit waits for is as its spec says. While
// it is not, the unit is parked: each change of one of the objects wakes it.
func (e *Engine) healthy(ctx context.Context, p *pass) error {
	checks, err := e.checks(ctx, p)
	if err != nil {
		return err
	}
	var failed, waiting []string
	for _, key := range checks {
		v := p.verdict(ctx, key)
		switch v.Status {
		case health.Current:
		case health.Failed:
			failed = append(failed, unhealthy(key, v))
		default:
			waiting = append(waiting, unhealthy(key, v))
		}
	}
	deadline := p.unit.waitUntil(len(failed)+len(waiting) > 0, e.now().Add(p.object.GetTimeout()))
	switch slices.Sort(failed); {
	case len(failed) > 0:
		return fail(kustomizev1.HealthCheckFailedReason, Wait, errors.New("health check failed: "+strings.Join(failed, ", ")))
	case len(waiting) == 0:
		return nil
	}
	slices.Sort(waiting)
	if !e.now().Before(deadline) {
		return fail(kustomizev1.HealthCheckFailedReason, Wait, errors.New("timeout waiting for: "+strings.Join(waiting, ", ")))
	}
	return &Failure{
		Reason: meta.ProgressingReason, Next: Wait, Deadline: deadline, Health: true,
		Err: errors.New("waiting for: " + strings.Join(waiting, ", ")),
	}
}

// checks are the objects that have to be healthy: all of the unit's own with
// spec.wait, else those in spec.healthChecks, which are followed by name.
func (e *Engine) checks(ctx context.Context, p *pass) ([]kube.Key, error) {
	user := p.unit.user()
	if p.object.Spec.Wait {
		return p.unit.keys, p.target.view.Follow(user)
	}
	keys := make([]kube.Key, 0, len(p.object.Spec.HealthChecks))
	for i, ref := range p.object.Spec.HealthChecks {
		key, err := e.check(p.object, ref)
		if err != nil {
			return nil, fail(kustomizev1.HealthCheckFailedReason, Stall, fmt.Errorf("spec.healthChecks[%d]: %w", i, err))
		}
		keys = append(keys, key)
	}
	if err := p.look(ctx, user, keys); err != nil {
		return nil, fail(kustomizev1.HealthCheckFailedReason, Retry, err)
	}
	return keys, nil
}

// look follows what a unit waits for by name, and waits for the first answers.
func (p *pass) look(ctx context.Context, user live.User, keys []kube.Key) error {
	if err := p.target.view.Follow(user, keys...); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := p.target.view.Object(ctx, key); err != nil {
			return err
		}
	}
	return p.mayLook(ctx, keys)
}

// mayLook makes sure that the account of a unit may see what the unit waits for:
// the live view sees everything, and the status is for the tenant to read. It is
// asked after each build, and until the answer was yes.
func (p *pass) mayLook(ctx context.Context, keys []kube.Key) error {
	if p.target.account == "" || p.unit.looked(p.built) {
		return nil
	}
	for _, key := range keys {
		if _, err := p.target.applier.Cluster.Get(ctx, key); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	p.unit.mayLook()
	return nil
}

func (e *Engine) check(k *kustomizev1.Kustomization, ref kustomizev1.NamespacedObjectKindReference) (kube.Key, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil || ref.APIVersion == "" {
		return kube.Key{}, fmt.Errorf("apiVersion %q of %s/%s is not of the form group/version", ref.APIVersion, ref.Kind, ref.Name)
	}
	namespace := ref.Namespace
	if namespace == "" {
		namespace = k.Namespace
	}
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: ref.Name, GroupKind: gv.WithKind(ref.Kind).GroupKind()}, Version: gv.Version}, nil
}

// verdict judges one object that a unit waits for. One that is only followed by
// name is judged here, since the view does not know for whom.
func (p *pass) verdict(ctx context.Context, key kube.Key) health.Verdict {
	if p.recipe.checks.Covers(key.GVK()) && !p.object.Spec.Wait {
		obj, err := p.target.view.Object(ctx, key)
		if err != nil {
			return health.Verdict{Status: health.Unknown, Message: err.Error()}
		}
		return p.recipe.checks.Check(obj)
	}
	r, known := p.target.view.Get(kustomizev1.KustomizationKind, key)
	switch {
	case !known:
		return health.Verdict{Status: health.NotFound}
	case r.Deleting:
		return health.Verdict{Status: health.Terminating}
	default:
		return r.Health
	}
}

func unhealthy(key kube.Key, v health.Verdict) string {
	if v.Message == "" {
		return fmt.Sprintf("%s (%s)", key, v.Status)
	}
	return fmt.Sprintf("%s (%s: %s)", key, v.Status, v.Message)
}
