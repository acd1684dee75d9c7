package engine

import (
	"testing"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// TestDriftOfAReleaseIsToldOnce: the condition stands as long as the drift does, the
// event is sent when it is new.
func TestDriftOfAReleaseIsToldOnce(t *testing.T) {
	t.Parallel()
	hr := &helmv2.HelmRelease{}
	hr.Spec.DriftDetection = &helmv2.DriftDetection{Mode: helmv2.DriftDetectionWarn}
	for _, step := range []struct {
		name      string
		looked    bool
		drift     string
		told      bool
		condition string
	}{
		{"nothing", true, "", false, "the objects are as they were released"},
		{"somebody changes something", true, "ConfigMap/apps/a changed: data.b", true, "ConfigMap/apps/a changed: data.b"},
		{"it is still so", true, "ConfigMap/apps/a changed: data.b", false, "ConfigMap/apps/a changed: data.b"},
		{"nobody looked, as the release failed", false, "", false, "ConfigMap/apps/a changed: data.b"},
		{"something else", true, "ConfigMap/apps/a was deleted", true, "ConfigMap/apps/a was deleted"},
		{"put back", true, "", false, "the objects are as they were released"},
	} {
		p := &releasePass{unit: &releaseUnit{}, object: hr, looked: step.looked, drift: step.drift}
		if told := newDrift(hr.Status, p); told != step.told {
			t.Errorf("%s: event: %t, want %t", step.name, told, step.told)
		}
		noteDrift(&hr.Status, p)
		got := ""
		if c := apimeta.FindStatusCondition(hr.Status.Conditions, helmv2.DriftedCondition); c != nil {
			got = c.Message
		}
		if got != step.condition {
			t.Errorf("%s: the condition says %q, want %q", step.name, got, step.condition)
		}
	}
	hr.Spec.DriftDetection = nil
	noteDrift(&hr.Status, &releasePass{unit: &releaseUnit{}, object: hr})
	if len(hr.Status.Conditions) > 0 {
		t.Error("nobody looks any more, and the condition stays")
	}
}
