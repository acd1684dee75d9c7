package helmrel

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	helmtime "helm.sh/helm/v3/pkg/time"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel/values"
)

// TestSnapshot: every field of status.history, out of a release as Helm stores it.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	later, gone := noon.Add(time.Minute), noon.Add(time.Hour)
	rel := &release.Release{
		Name: "app", Namespace: "ns", Version: 3, Config: map[string]any{"a": "b"}, Manifest: "kind: ConfigMap",
		Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "web", Version: "1.2.3", AppVersion: "7"}},
		Info: &release.Info{
			Status: release.StatusUninstalled, FirstDeployed: helmtime.Time{Time: noon}, LastDeployed: helmtime.Time{Time: later}, Deleted: helmtime.Time{Time: gone},
		},
		Hooks: []*release.Hook{
			{Name: "answers", Events: []release.HookEvent{release.HookTest}, LastRun: release.HookExecution{
				StartedAt: helmtime.Time{Time: noon}, CompletedAt: helmtime.Time{Time: later}, Phase: release.HookPhaseSucceeded}},
			{Name: "prepare", Events: []release.HookEvent{release.HookPreInstall}},
		},
	}
	r := NewRecord(rel, ServerSide)
	tests := map[string]helmv2.TestHookStatus{"answers": {LastStarted: when(noon), LastCompleted: when(later), Phase: "Succeeded"}}
	if !reflect.DeepEqual(r.Tests, tests) {
		t.Errorf("tests %+v", r.Tests)
	}
	got := Snapshot(r, helmv2.ActionUpgrade, "sha256:abc")
	if !strings.HasPrefix(got.Digest, "sha256:") || got.Digest != r.Digest {
		t.Errorf("digest %q", got.Digest)
	}
	want := &helmv2.Snapshot{
		APIVersion: SnapshotVersion, Digest: r.Digest, Name: "app", Namespace: "ns", Version: 3, Status: "uninstalled",
		ChartName: "web", ChartVersion: "1.2.3", AppVersion: "7", ConfigDigest: values.Digest(rel.Config),
		FirstDeployed: *when(noon), LastDeployed: *when(later), Deleted: when(gone), OCIDigest: "sha256:abc", Action: helmv2.ActionUpgrade,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	rel.Manifest = "kind: Secret"
	if NewRecord(rel, ServerSide).Digest == r.Digest {
		t.Error("another manifest has the same digest")
	}
}
