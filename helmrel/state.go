// Package helmrel decides what becomes of a Helm release.
//
// A State is what is true: what the HelmRelease wishes, what Helm's records say,
// what our own status remembers, how the objects do. Decide tells from it the one
// Step to take next; whoever takes it comes back with an Outcome, and Conclude
// puts that down in the status. Nothing in here touches a cluster: taking steps
// is package helmrel/action, and Helm's records are package helmrel/storage.
package helmrel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/release"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// Target names a release: its name in Helm's records, the namespace that it is
// made in, and the namespace of the records.
type Target struct {
	Name             string
	Namespace        string
	StorageNamespace string
}

// Chart is the chart to release, or that was released.
type Chart struct {
	Name       string
	Version    string // as it is to stand in the record, a part of the digest included
	AppVersion string
	Digest     string // of the OCI artifact that it came in, "" for other sources
}

// String is "name@version", as messages have it.
func (c Chart) String() string { return c.Name + "@" + c.Version }

// Wish is what a HelmRelease asks for.
type Wish struct {
	Target
	Chart                Chart
	ConfigDigest         string // of the values, see values.Digest
	PostRenderersDigest  string // "" when there are none
	CommonMetadataDigest string // "" when there is none
	Generation           int64
	Deleting             bool   // the HelmRelease is on its way out
	ForceAt              string // token of a release to be made though nothing changed, "" when none is asked for or it was handled
	ResetAt              string // token of failures to be forgotten, likewise
	Anew                 bool   // what the last attempt failed for has come: failures don't count any more
	Spec                 helmv2.HelmReleaseSpec
}

// NewWish takes together what a HelmRelease, its chart and the digest of its
// values say.
func NewWish(hr *helmv2.HelmRelease, chart Chart, configDigest string) Wish {
	w := Wish{
		Target:       Target{Name: hr.GetReleaseName(), Namespace: hr.GetReleaseNamespace(), StorageNamespace: hr.GetStorageNamespace()},
		Chart:        chart,
		ConfigDigest: configDigest,
		Generation:   hr.Generation,
		Deleting:     !hr.DeletionTimestamp.IsZero(),
		Spec:         *hr.Spec.DeepCopy(),
	}
	if len(hr.Spec.PostRenderers) > 0 {
		w.PostRenderersDigest = jsonDigest(hr.Spec.PostRenderers)
	}
	if hr.Spec.CommonMetadata != nil {
		w.CommonMetadataDigest = jsonDigest(hr.Spec.CommonMetadata)
	}
	if hr.ForceRequested() {
		w.ForceAt = hr.Annotations[helmv2.ForceRequestAnnotation]
	}
	if hr.ResetRequested() {
		w.ResetAt = hr.Annotations[helmv2.ResetRequestAnnotation]
	}
	return w
}

// Token is short for all that goes into a release. It is written into the record
// (TokenLabel), so that a release whose maker died before the status was written
// is known again, and not made twice.
func (w Wish) Token() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		w.Chart.Name, w.Chart.Version, w.Chart.Digest, w.ConfigDigest, w.PostRenderersDigest, w.CommonMetadataDigest,
	}, "\n")))
	return hex.EncodeToString(sum[:])[:32]
}

// TokenLabel on a record has the Token of the wish that it was made for.
const TokenLabel = "plumb-gitops.github.io/wish"

// GenerationLabel on a record has the generation of the HelmRelease that it was made for.
const GenerationLabel = "plumb-gitops.github.io/generation"

// UndoesLabel on the record of a rollback has the Token of the wish that failed.
const UndoesLabel = "plumb-gitops.github.io/undoes"

// Record is one of Helm's records: a release in one version.
type Record struct {
	Name          string
	Namespace     string
	Version       int
	Status        release.Status
	Description   string
	Chart         Chart
	ConfigDigest  string
	Digest        string // of the record, see Digest
	FirstDeployed time.Time
	LastDeployed  time.Time
	Deleted       time.Time
	Tests         map[string]helmv2.TestHookStatus // the test hooks, whether they ran or not
	Manifest      string
	HookManifests []string
	ApplyMethod   string   // ServerSide, ClientSide, or "" when the record does not say
	Token         string   // of the wish that it was made for, "" when others made it
	Generation    int64    // of the HelmRelease that it was made for, 0 when it does not say
	Undoes        string   // for a rollback of ours, the token of the wish that failed
	Others        bool     // somebody else wrote it last: the helm command line, or nobody knows who
	HooksLeft     bool     // hooks that come after waiting have not succeeded
	OpenHooks     []string // manifests of hooks whose deletion is due and was perhaps never done
}

// Values of Record.ApplyMethod, as Helm writes them since version 4.
const (
	ServerSide = "ssa"
	ClientSide = "csa"
)

// Marks in the description of a record. A record that failed for one of these
// reasons is not a failure of the chart.
const (
	// Interrupted: the process ended, or something newer came, before the action did.
	Interrupted = "interrupted before it was done"
	// NotReady: everything was applied, and did not become ready in time. It is what
	// helmrel/client says, right behind the name of the release as the SDK quotes it;
	// hooks that took too long have words in between.
	NotReady = "\" failed: timeout waiting for: "
)

// made is the action that a record is of, a rollback aside: Helm gives an install one
// time for both.
func (r Record) made() Action {
	if r.Version == 1 || r.FirstDeployed.Equal(r.LastDeployed) {
		return Install
	}
	return Upgrade
}

func (r Record) interrupted() bool { return strings.Contains(r.Description, Interrupted) }

// promotable tells whether nothing but readiness was missing.
func (r Record) promotable() bool {
	return r.Status == release.StatusFailed && strings.Contains(r.Description, NotReady) && !r.HooksLeft
}

// State is all that Decide goes by.
type State struct {
	Wish    Wish
	Records []Record // of the release at Reads(…), the newest first
	Status  helmv2.HelmReleaseStatus
	Healthy bool     // all objects of the newest record are there and healthy; it matters after a failure only
	Drift   []string // objects that others changed, sorted
	Now     time.Time
}

// Reads tells which release's records belong into State.Records: the one that
// the status remembers, or that was begun, as long as there is any, else the one that
// is wished for. They differ when the name or a namespace was changed in the spec.
func Reads(w Wish, status helmv2.HelmReleaseStatus) Target {
	if len(status.History) == 0 || status.History[0] == nil {
		if b := status.Begun; b != nil {
			return Target{Name: b.Name, Namespace: b.Namespace, StorageNamespace: b.StorageNamespace}
		}
		return w.Target
	}
	t := Target{Name: status.History[0].Name, Namespace: status.History[0].Namespace, StorageNamespace: status.StorageNamespace}
	if t.StorageNamespace == "" {
		t.StorageNamespace = w.StorageNamespace
	}
	return t
}

// newest is the newest record, nil when there is none.
func (s *State) newest() *Record {
	if len(s.Records) == 0 {
		return nil
	}
	return &s.Records[0]
}

// current is the newest release that the status remembers, nil when there is none.
func (s *State) current() *helmv2.Snapshot {
	if len(s.Status.History) == 0 {
		return nil
	}
	return s.Status.History[0]
}

// observed tells whether the newest record is as we left it.
func (s *State) observed() bool {
	r, snapshot := s.newest(), s.current()
	return r != nil && snapshot != nil && Observed(snapshot, *r)
}

// Observed tells whether a record still is what a snapshot was made of. The
// digest tells; one that another version of the toolkit made in another form is
// replaced by what the snapshot says in the clear.
func Observed(s *helmv2.Snapshot, r Record) bool {
	if s.Name != r.Name || s.Namespace != r.Namespace || s.Version != r.Version {
		return false
	}
	if s.Digest == r.Digest {
		return true
	}
	return s.APIVersion != SnapshotVersion &&
		s.Status == r.Status.String() && s.ChartName == r.Chart.Name && s.ChartVersion == r.Chart.Version &&
		s.ConfigDigest == r.ConfigDigest && s.LastDeployed.Unix() == r.LastDeployed.Unix()
}

// fresh tells whether something came in that was not tried yet, so that earlier
// failures don't count any more.
func (s *State) fresh() bool { return fresh(s.Status, s.Wish) }

func fresh(status helmv2.HelmReleaseStatus, w Wish) bool {
	return w.Anew || resets(status, w) || forces(status, w) ||
		status.LastAttemptedGeneration != w.Generation ||
		status.LastAttemptedRevision != w.Chart.Version ||
		status.LastAttemptedRevisionDigest != w.Chart.Digest ||
		status.LastAttemptedConfigDigest != w.ConfigDigest
}

// forces and resets tell whether the annotations ask for something that was not
// done yet.
func forces(status helmv2.HelmReleaseStatus, w Wish) bool {
	return w.ForceAt != "" && w.ForceAt != status.LastHandledForceAt
}

func resets(status helmv2.HelmReleaseStatus, w Wish) bool {
	return w.ResetAt != "" && w.ResetAt != status.LastHandledResetAt
}

func jsonDigest(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "" // the types of the API always marshal
	}
	sum := sha256.Sum256(append(raw, '\n'))
	return "sha256:" + hex.EncodeToString(sum[:])
}
