package explain

import (
	"context"
	"errors"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// State is how far a step is.
type State string

// The states of a step.
const (
	Done    State = "done"
	Blocked State = "blocked" // this is what the rest waits for
	Pending State = "pending" // it waits for an earlier step
)

// Step is one stage of the way.
type Step struct {
	Stage   string `json:"stage"` // source, dependency, build, apply, health; for a release: source, chart, values, release, test, health; for a FluxConfig: configuration, source, kustomization, release, compliance
	Object  string `json:"object"`
	State   State  `json:"state"`
	Message string `json:"message,omitempty"`
	// Because is what is behind it, from one object to the next, down to a pod's
	// event.
	Because []string `json:"because,omitempty"`
}

// Chain is the answer to "why is it not ready?".
type Chain struct {
	Object string `json:"object"`
	Ready  bool   `json:"ready"`
	// Blocker is the one thing that blocks, in one sentence; "" when it is ready.
	Blocker string `json:"blocker,omitempty"`
	Steps   []Step `json:"steps"`
}

// ErrNotFound says that there is no object of that name.
var ErrNotFound = errors.New("not found")

// Why explains one object: a FluxConfig, a Kustomization, a HelmRelease, a source, or
// anything that a Kustomization or a HelmRelease applied. The error is ErrNotFound when it is not there.
func Why(ctx context.Context, r Reader, key kube.Key) (Chain, error) {
	obj, err := get(ctx, r, key)
	if err != nil {
		return Chain{}, err
	}
	if obj == nil {
		return Chain{}, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	c := Chain{Object: key.String()}
	switch {
	case key.GroupKind.Group == sourcev1.GroupVersion.Group:
		c.Steps, err = sourceSteps(ctx, r, key, obj)
	case key.GroupKind.Group == clusterconfigv1.GroupVersion.Group:
		c.Steps, err = configSteps(ctx, r, key, obj)
	case key.GroupKind == unitKey("", "").GroupKind:
		c.Steps, err = unitSteps(ctx, r, key, map[kube.Key]bool{})
	case key.GroupKind == releaseKey("", "").GroupKind:
		c.Steps, err = releaseSteps(ctx, r, key, map[kube.Key]bool{})
	default:
		c.Steps, err = objectSteps(ctx, r, key, obj)
	}
	c.settle()
	return c, err
}

// settle finds the one step that blocks. What comes after it is pending.
func (c *Chain) settle() {
	c.Ready = true
	for i, s := range c.Steps {
		switch {
		case !c.Ready:
			c.Steps[i] = Step{Stage: s.Stage, Object: s.Object, State: Pending}
		case s.State == Blocked:
			c.Ready = false
			c.Blocker = s.Object + ": " + s.Message
			if n := len(s.Because); n > 0 {
				c.Blocker = s.Because[n-1]
			}
		}
	}
}

// sourceSteps is the way of a source: what it is made from, such as the repository of
// a chart, and itself.
func sourceSteps(ctx context.Context, r Reader, key kube.Key, obj *unstructured.Unstructured) ([]Step, error) {
	origins, err := Origins(ctx, r, obj)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, from := range origins {
		below, err := get(ctx, r, from)
		switch {
		case err != nil:
			return nil, err
		case from.GroupKind.Group != sourcev1.GroupVersion.Group: // it was made by another controller, from what that knows
		case below == nil:
			steps = append(steps, Step{Stage: "source", Object: from.String(), State: Blocked, Message: "there is no such source: create it, or mend spec.sourceRef"})
		default:
			steps = append(steps, sourceStep(from, below))
		}
	}
	return append(steps, sourceStep(key, obj)), nil
}

// sourceStep judges a source by its own conditions.
func sourceStep(key kube.Key, obj *unstructured.Unstructured) Step {
	s := Step{Stage: "source", Object: key.String(), State: Done}
	suspended, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend")
	_, fetched, _ := unstructured.NestedMap(obj.Object, "status", "artifact")
	switch c := ready(obj); {
	case c == nil && suspended:
		s.State, s.Message = Blocked, "it is suspended and was never fetched: set spec.suspend to false"
	case c == nil:
		s.State, s.Message = Blocked, "no engine has looked at it yet: is plumb running, and does it watch this namespace?"
	case c.Status == metav1.ConditionTrue:
		s.Message = c.Message
	case fetched:
		s.Message = "an older revision is in use, since " + c.Message
	default:
		s.State, s.Message = Blocked, c.Message
	}
	return s
}

// unitSteps is the way of a Kustomization. seen breaks cycles of dependencies.
func unitSteps(ctx context.Context, r Reader, key kube.Key, seen map[kube.Key]bool) ([]Step, error) {
	seen[key] = true
	k, err := unitOf(ctx, r, key)
	if err != nil || k == nil {
		return nil, err
	}
	steps, err := dependencySteps(ctx, r, k, seen)
	if err != nil {
		return nil, err
	}
	from, err := sourceOfUnit(ctx, r, k)
	if err != nil {
		return nil, err
	}
	own, err := ownSteps(ctx, r, key, k)
	return append(append([]Step{from}, steps...), own...), err
}

func sourceOfUnit(ctx context.Context, r Reader, k *kustomizev1.Kustomization) (Step, error) {
	name := k.GetSource()
	key := sourceKey(k.Spec.SourceRef.Kind, name.Namespace, name.Name)
	obj, err := get(ctx, r, key)
	if err != nil {
		return Step{}, err
	}
	if obj == nil {
		return Step{Stage: "source", Object: key.String(), State: Blocked, Message: "there is no such source: create it, or mend spec.sourceRef"}, nil
	}
	return sourceStep(key, obj), nil
}

// dependencySteps is one step for each dependency, with what blocks it behind it.
func dependencySteps(ctx context.Context, r Reader, k *kustomizev1.Kustomization, seen map[kube.Key]bool) ([]Step, error) {
	var steps []Step
	for _, name := range k.GetDependsOn() {
		key := unitKey(name.Namespace, name.Name)
		s := Step{Stage: "dependency", Object: key.String(), State: Done}
		obj, err := get(ctx, r, key)
		switch {
		case err != nil:
			return nil, err
		case obj == nil:
			s.State, s.Message = Blocked, "there is no such Kustomization: create it, or mend spec.dependsOn"
		case seen[key]:
			s.State, s.Message = Blocked, "it depends on "+kustomizev1.KustomizationKind+"/"+k.Namespace+"/"+k.Name+" in turn: take one of the two out of spec.dependsOn"
		default:
			below, err := unitSteps(ctx, r, key, seen)
			if err != nil {
				return nil, err
			}
			s = summary(s.Stage, key, below)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// stageOf is where a failure with a reason belongs.
var stageOf = map[string]string{
	kustomizev1.BuildFailedReason:       "build",
	kustomizev1.ArtifactFailedReason:    "source",
	kustomizev1.HealthCheckFailedReason: "health",
	meta.ProgressingReason:              "health",
}

// ownSteps is what a Kustomization itself has done, judged by its conditions.
func ownSteps(ctx context.Context, r Reader, key kube.Key, k *kustomizev1.Kustomization) ([]Step, error) {
	steps := []Step{
		{Stage: "build", Object: key.String(), State: Done},
		{Stage: "apply", Object: key.String(), State: Done},
		{Stage: "health", Object: key.String(), State: Done},
	}
	at, message := blockedAt(k)
	for i := range steps {
		if steps[i].Stage != at {
			continue
		}
		steps[i].State, steps[i].Message = Blocked, message
		if at == "health" {
			because, err := unhealthy(ctx, r, k)
			steps[i].Because = because
			return steps, err
		}
	}
	return steps, nil
}

// blockedAt is the stage that a Kustomization is stuck in, "" for none.
func blockedAt(k *kustomizev1.Kustomization) (stage, message string) {
	c := apimeta.FindStatusCondition(k.Status.Conditions, meta.ReadyCondition)
	switch {
	case k.Spec.Suspend:
		return "build", "it is suspended: set spec.suspend to false"
	case c == nil:
		return "build", "no engine has looked at it yet: is plumb running, and does it watch this namespace?"
	case k.Status.ObservedGeneration != k.Generation:
		return "build", "its newest spec was not looked at yet"
	case c.Status == metav1.ConditionTrue, c.Reason == kustomizev1.DependencyNotReadyReason:
		return "", ""
	}
	stage, ok := stageOf[c.Reason]
	if !ok {
		stage = "apply"
	}
	return stage, c.Message
}
