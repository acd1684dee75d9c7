package explain

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// configSteps is the way of a FluxConfig: itself, its source, its Kustomizations and
// the HelmReleases that these brought, and whether all that adds up.
func configSteps(ctx context.Context, r Reader, key kube.Key, obj *unstructured.Unstructured) ([]Step, error) {
	fc := &clusterconfigv1.FluxConfig{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, fc); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	steps := []Step{configStep(key, obj, fc)}
	parts, err := Parts(ctx, r, obj)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		below, err := partSteps(ctx, r, part)
		if err != nil {
			return nil, err
		}
		steps = append(steps, below...)
	}
	sum := Step{Stage: "compliance", Object: key.String(), State: Done}
	if c := ready(obj); c != nil && c.Status != metav1.ConditionTrue {
		sum.State, sum.Message = Blocked, c.Message
	}
	return append(steps, sum), nil
}

// configStep is whether a FluxConfig could be turned into what it stands for.
func configStep(key kube.Key, obj *unstructured.Unstructured, fc *clusterconfigv1.FluxConfig) Step {
	s := Step{Stage: "configuration", Object: key.String(), State: Done}
	switch c := ready(obj); {
	case fc.Spec.Suspend:
		s.State, s.Message = Blocked, "it is suspended: set spec.suspend to false"
	case c == nil:
		s.State, s.Message = Blocked, "no engine has looked at it yet: is plumb running, and does it watch this namespace?"
	case fc.Status.ObservedGeneration != fc.Generation && c.Status != metav1.ConditionFalse:
		s.State, s.Message = Blocked, "its newest spec was not looked at yet"
	case fc.Status.ErrorMessage != "" && c.Reason != clusterconfigv1.TimeoutReason:
		s.State, s.Message = Blocked, fc.Status.ErrorMessage
	}
	return s
}

// partSteps are the step of one object that a FluxConfig stands for, and of the
// HelmReleases that it brought.
func partSteps(ctx context.Context, r Reader, key kube.Key) ([]Step, error) {
	obj, err := get(ctx, r, key)
	if err != nil || obj == nil {
		return nil, err
	}
	if key.GroupKind.Kind != kustomizev1.KustomizationKind {
		return []Step{sourceStep(key, obj)}, nil
	}
	steps, err := unitSteps(ctx, r, key, map[kube.Key]bool{})
	if err != nil {
		return nil, err
	}
	out := []Step{summary("kustomization", key, steps)}
	if _, remote, _ := unstructured.NestedMap(obj.Object, "spec", "kubeConfig"); remote {
		return out, nil // what it applied is on another cluster
	}
	applied, err := inventoryOf(ctx, r, key, obj)
	if err != nil {
		return nil, err
	}
	for _, key := range applied {
		if key.GroupKind.Kind != helmv2.HelmReleaseKind {
			continue
		}
		steps, err := releaseSteps(ctx, r, key, map[kube.Key]bool{})
		if err != nil {
			return nil, err
		}
		out = append(out, summary("release", key, steps))
	}
	return out, nil
}

// summary is the way of an object as one step, with what blocks it behind it.
func summary(stage string, key kube.Key, steps []Step) Step {
	s := Step{Stage: stage, Object: key.String(), State: Done}
	below := Chain{Steps: steps}
	if below.settle(); !below.Ready {
		s.State, s.Message, s.Because = Blocked, "it is not ready", []string{below.Blocker}
	}
	return s
}
