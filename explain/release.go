package explain

import (
	"context"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// releaseKey names a HelmRelease.
func releaseKey(namespace, name string) kube.Key {
	return keyOf(helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind), namespace, name)
}

// releaseOf reads a HelmRelease, nil when there is none.
func releaseOf(ctx context.Context, r Reader, key kube.Key) (*helmv2.HelmRelease, error) {
	obj, err := get(ctx, r, key)
	if err != nil || obj == nil {
		return nil, err
	}
	hr := &helmv2.HelmRelease{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, hr); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return hr, nil
}

// releaseSteps is the way of a HelmRelease: its chart, what it depends on, and what
// it has done itself. seen breaks cycles of dependencies.
func releaseSteps(ctx context.Context, r Reader, key kube.Key, seen map[kube.Key]bool) ([]Step, error) {
	seen[key] = true
	hr, err := releaseOf(ctx, r, key)
	if err != nil || hr == nil {
		return nil, err
	}
	steps, err := chartSteps(ctx, r, hr)
	if err != nil {
		return nil, err
	}
	for _, name := range hr.GetDependsOn() {
		s, err := releaseDependency(ctx, r, key, releaseKey(name.Namespace, name.Name), seen)
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	own, err := ownReleaseSteps(ctx, r, key, hr)
	return append(steps, own...), err
}

// releaseDependency is the step of one dependency, with what blocks it behind it.
func releaseDependency(ctx context.Context, r Reader, self, key kube.Key, seen map[kube.Key]bool) (Step, error) {
	s := Step{Stage: "dependency", Object: key.String(), State: Done}
	obj, err := get(ctx, r, key)
	switch {
	case err != nil:
		return s, err
	case obj == nil:
		s.State, s.Message = Blocked, "there is no such HelmRelease: create it, or mend spec.dependsOn"
	case seen[key]:
		s.State, s.Message = Blocked, fmt.Sprintf("it depends on %s in turn: take one of the two out of spec.dependsOn", self)
	default:
		below, err := releaseSteps(ctx, r, key, seen)
		if err != nil {
			return s, err
		}
		s = summary(s.Stage, key, below)
	}
	return s, nil
}

// chartSteps are the sources that a release's chart comes from, the first one first.
func chartSteps(ctx context.Context, r Reader, hr *helmv2.HelmRelease) ([]Step, error) {
	kind, name := hr.GetChart()
	key := sourceKey(kind, name.Namespace, name.Name)
	obj, err := get(ctx, r, key)
	if err != nil {
		return nil, err
	}
	if obj == nil {
		message := "there is no such source: create it, or mend spec.chartRef"
		if hr.Spec.Chart != nil {
			message = "it was not made yet: is plumb running, and does it watch this namespace?"
		}
		return []Step{{Stage: "chart", Object: key.String(), State: Blocked, Message: message}}, nil
	}
	own := sourceStep(key, obj)
	own.Stage = "chart"
	if kind != sourcev1.HelmChartKind {
		return []Step{own}, nil
	}
	chart := &sourcev1.HelmChart{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, chart); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	from := sourceKey(chart.Spec.SourceRef.Kind, chart.Namespace, chart.Spec.SourceRef.Name)
	below, err := get(ctx, r, from)
	switch {
	case err != nil:
		return nil, err
	case below == nil:
		return []Step{{Stage: "source", Object: from.String(), State: Blocked, Message: "there is no such source: create it, or mend spec.chart.spec.sourceRef"}, own}, nil
	case isHelmRepository(from) && ready(below) == nil:
		return []Step{own}, nil // one of type oci is never fetched by itself
	default:
		return []Step{sourceStep(from, below), own}, nil
	}
}

func isHelmRepository(key kube.Key) bool { return key.GroupKind.Kind == sourcev1.HelmRepositoryKind }

// releaseStageOf is where a failure with a reason belongs.
var releaseStageOf = map[string]string{
	helmv2.ValuesErrorReason:       "values",
	helmv2.ArtifactFailedReason:    "chart",
	helmv2.TestFailedReason:        "test",
	helmv2.HealthCheckFailedReason: "health",
	helmv2.DriftDetectedReason:     "health",
}

// ownReleaseSteps is what a HelmRelease itself has done, judged by its conditions.
func ownReleaseSteps(ctx context.Context, r Reader, key kube.Key, hr *helmv2.HelmRelease) ([]Step, error) {
	at, message := releaseBlockedAt(hr)
	var steps []Step
	for _, stage := range []string{"values", "release", "test", "health"} {
		s := Step{Stage: stage, Object: key.String(), State: Done}
		if stage == at {
			s.State, s.Message = Blocked, message
			if stage == "values" {
				return append(steps, s), nil // its objects are none of the reason
			}
			keys, err := prune.Load(hr.Status.Inventory)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			if s.Because, err = firstUnhealthy(ctx, r, keys); err != nil {
				return nil, err
			}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// releaseBlockedAt is the stage that a HelmRelease is stuck in, "" for none.
func releaseBlockedAt(hr *helmv2.HelmRelease) (stage, message string) {
	c := apimeta.FindStatusCondition(hr.Status.Conditions, meta.ReadyCondition)
	switch {
	case hr.Spec.Suspend:
		return "values", "it is suspended: set spec.suspend to false"
	case c == nil:
		return "values", "no engine has looked at it yet: is plumb running, and does it watch this namespace?"
	case hr.Status.ObservedGeneration != hr.Generation:
		return "values", "its newest spec was not looked at yet"
	case c.Status == metav1.ConditionTrue, c.Reason == helmv2.DependencyNotReadyReason:
		return "", ""
	}
	stage, ok := releaseStageOf[c.Reason]
	if !ok {
		stage = "release"
	}
	if stage == "chart" {
		stage = "values" // the chart's own step says more, if it is not ready
	}
	return stage, c.Message
}
