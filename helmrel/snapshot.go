package helmrel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel/values"
)

// SnapshotVersion names the form in which Digest is made.
const SnapshotVersion = "v2"

// NewRecord is what matters about a release out of Helm's storage. applyMethod
// is ServerSide, ClientSide or "".
func NewRecord(rel *release.Release, applyMethod string) Record {
	r := Record{
		Name: rel.Name, Namespace: rel.Namespace, Version: rel.Version,
		ConfigDigest: values.Digest(rel.Config),
		Digest:       Digest(rel),
		Tests:        tests(rel.Hooks),
		Manifest:     rel.Manifest,
		ApplyMethod:  applyMethod,
		Token:        rel.Labels[TokenLabel],
		Undoes:       rel.Labels[UndoesLabel],
		HooksLeft:    hooksLeft(rel),
	}
	r.Generation, _ = strconv.ParseInt(rel.Labels[GenerationLabel], 10, 64) // 0 for what is none
	for _, hook := range rel.Hooks {
		r.HookManifests = append(r.HookManifests, hook.Manifest)
	}
	if rel.Info != nil {
		r.Status, r.Description = rel.Info.Status, rel.Info.Description
		r.FirstDeployed, r.LastDeployed, r.Deleted = rel.Info.FirstDeployed.Time, rel.Info.LastDeployed.Time, rel.Info.Deleted.Time
	}
	r.OpenHooks = openHooks(rel, !r.Status.IsPending() && r.Status != release.StatusUninstalling && !r.interrupted())
	if rel.Chart != nil && rel.Chart.Metadata != nil {
		m := rel.Chart.Metadata
		r.Chart = Chart{Name: m.Name, Version: m.Version, AppVersion: m.AppVersion}
	}
	return r
}

// observation is the form that is hashed: the record without the files of the
// chart, and without test hooks, so that tests may run again (helm test) without
// the release counting as changed. Field order and names are those of the
// toolkit's digests.
type observation struct {
	Name          string         `json:"name"`
	Version       int            `json:"version"`
	Info          release.Info   `json:"info"`
	ChartMetadata chart.Metadata `json:"chartMetadata"`
	Config        map[string]any `json:"config"`
	Manifest      string         `json:"manifest"`
	Hooks         []release.Hook `json:"hooks"`
	Namespace     string         `json:"namespace"`
	OCIDigest     string         `json:"ociDigest"`
}

// Digest of a release as Helm stores it. Two records have the same one only if
// nobody changed anything in between.
func Digest(rel *release.Release) string {
	o := observation{Name: rel.Name, Version: rel.Version, Manifest: rel.Manifest, Namespace: rel.Namespace}
	if rel.Info != nil {
		o.Info = *rel.Info
	}
	if rel.Chart != nil && rel.Chart.Metadata != nil {
		o.ChartMetadata = *rel.Chart.Metadata
	}
	if len(rel.Config) > 0 {
		o.Config = rel.Config
	}
	for _, hook := range rel.Hooks {
		if !slices.Contains(hook.Events, release.HookTest) {
			o.Hooks = append(o.Hooks, *hook)
		}
	}
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(o); err != nil {
		return ""
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

// Snapshot is what the status remembers of a record. action is what made it
// (helmv2.ActionInstall or helmv2.ActionUpgrade, "" for others), ociDigest the
// artifact that the chart came in.
func Snapshot(r Record, action, ociDigest string) *helmv2.Snapshot {
	s := &helmv2.Snapshot{
		APIVersion:    SnapshotVersion,
		Digest:        r.Digest,
		Name:          r.Name,
		Namespace:     r.Namespace,
		Version:       r.Version,
		Status:        r.Status.String(),
		ChartName:     r.Chart.Name,
		ChartVersion:  r.Chart.Version,
		AppVersion:    r.Chart.AppVersion,
		ConfigDigest:  r.ConfigDigest,
		FirstDeployed: metav1.NewTime(r.FirstDeployed),
		LastDeployed:  metav1.NewTime(r.LastDeployed),
		OCIDigest:     ociDigest,
		Action:        action,
	}
	if !r.Deleted.IsZero() {
		s.Deleted = &metav1.Time{Time: r.Deleted}
	}
	return s
}

func tests(hooks []*release.Hook) map[string]helmv2.TestHookStatus {
	out := map[string]helmv2.TestHookStatus{}
	for _, hook := range hooks {
		if !slices.Contains(hook.Events, release.HookTest) {
			continue
		}
		out[hook.Name] = helmv2.TestHookStatus{
			LastStarted: when(hook.LastRun.StartedAt.Time), LastCompleted: when(hook.LastRun.CompletedAt.Time),
			Phase: hook.LastRun.Phase.String(),
		}
	}
	return out
}

func when(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t}
}

// hooksLeft tells whether hooks that run behind the wait for readiness have not
// succeeded. An install is known by its two times, which Helm sets to the same.
func hooksLeft(rel *release.Release) bool {
	event := release.HookPostUpgrade
	if rel.Info != nil && rel.Info.FirstDeployed.Equal(rel.Info.LastDeployed) {
		event = release.HookPostInstall
	}
	return slices.ContainsFunc(rel.Hooks, func(h *release.Hook) bool {
		return slices.Contains(h.Events, event) && h.LastRun.Phase != release.HookPhaseSucceeded
	})
}
