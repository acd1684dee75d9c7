package helmrel

import (
	"fmt"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

var noon = time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

// world is a State under construction: a release "app" of chart web@1 that was
// asked for with the values "v", with the given spec.
type world struct{ State }

func start(spec helmv2.HelmReleaseSpec) *world {
	w := &world{}
	w.Now = noon
	w.Wish = Wish{
		Target: Target{Name: "app", Namespace: "ns", StorageNamespace: "ns"},
		Chart:  Chart{Name: "web", Version: "1"}, ConfigDigest: "v", Generation: 1, Spec: spec,
	}
	return w
}

// record puts a record on top, made for the wish as it is.
func (w *world) record(status release.Status, change ...func(*Record)) *world {
	version := len(w.Records) + 1
	r := Record{
		Name: "app", Namespace: "ns", Version: version, Status: status, Chart: w.Wish.Chart, ConfigDigest: w.Wish.ConfigDigest,
		Digest: fmt.Sprintf("%s-%d", status, version), LastDeployed: noon, Token: w.Wish.Token(),
	}
	for _, c := range change {
		c(&r)
	}
	if len(w.Records) > 0 && status == release.StatusDeployed {
		for i := range w.Records {
			if w.Records[i].Status == release.StatusDeployed {
				w.Records[i].Status = release.StatusSuperseded
			}
		}
	}
	w.Records = append([]Record{r}, w.Records...)
	return w
}

// known has the status know all records, and what was tried.
func (w *world) known(action string, installs, upgrades int64) *world {
	w.Status.History = nil
	for _, r := range w.Records {
		w.Status.History = append(w.Status.History, Snapshot(r, action, ""))
	}
	w.Status.StorageNamespace = "ns"
	w.Status.LastAttemptedGeneration, w.Status.LastAttemptedRevision = w.Wish.Generation, w.Wish.Chart.Version
	w.Status.LastAttemptedConfigDigest, w.Status.LastAttemptedReleaseAction = w.Wish.ConfigDigest, action
	w.Status.InstallFailures, w.Status.UpgradeFailures = installs, upgrades
	return w
}

func (w *world) with(change func(*State)) *world {
	change(&w.State)
	return w
}

func said(text string) func(*Record) { return func(r *Record) { r.Description = text } }

func by(token string) func(*Record) { return func(r *Record) { r.Token = token } }

func TestDecide(t *testing.T) {
	t.Parallel()
	const install, upgrade = helmv2.ActionInstall, helmv2.ActionUpgrade
	yes := true
	none := helmv2.HelmReleaseSpec{}
	installRetries := func(n int, last *bool) helmv2.HelmReleaseSpec {
		return helmv2.HelmReleaseSpec{Install: &helmv2.Install{Remediation: &helmv2.InstallRemediation{Retries: n, RemediateLastFailure: last}}}
	}
	upgradeRetries := func(n int, strategy string) helmv2.HelmReleaseSpec {
		return helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: n, Strategy: strategy}}}
	}
	retryOnFailure := helmv2.HelmReleaseSpec{Install: &helmv2.Install{Strategy: &helmv2.InstallStrategy{
		Name: helmv2.RetryOnFailure, RetryInterval: &metav1.Duration{Duration: time.Minute}}}}
	tested := helmv2.HelmReleaseSpec{Test: &helmv2.Test{Enable: true}}
	ignored := helmv2.HelmReleaseSpec{Test: &helmv2.Test{Enable: true, IgnoreFailures: true}}
	inPlace := helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{ChartNameChangeStrategy: helmv2.ChartNameInPlaceUpdate}}
	correcting := helmv2.HelmReleaseSpec{DriftDetection: &helmv2.DriftDetection{Mode: helmv2.DriftDetectionEnabled}}
	warning := helmv2.HelmReleaseSpec{DriftDetection: &helmv2.DriftDetection{Mode: helmv2.DriftDetectionWarn}}
	const deployed, failed, superseded = release.StatusDeployed, release.StatusFailed, release.StatusSuperseded
	hasTests := func(r *Record) { r.Tests = map[string]helmv2.TestHookStatus{"t": {}} }
	failedTests := func(s *State) {
		s.Status.History[0].TestHooks = map[string]helmv2.TestHookStatus{"t": {Phase: "Failed"}}
	}
	chart := func(name, version string) func(*State) {
		return func(s *State) { s.Wish.Chart = Chart{Name: name, Version: version} }
	}
	deleting := func(s *State) { s.Wish.Deleting = true }
	drift := func(s *State) { s.Drift = []string{"Deployment/ns/web"} }

	for name, c := range map[string]struct {
		world   *world
		want    Action
		version int
	}{
		"nothing is there":                       {start(none), Install, 0},
		"installed":                              {start(none).record(deployed).known(install, 0, 0), None, 0},
		"the record is missing":                  {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Records = nil }), Install, 0},
		"died before the status was written":     {start(none).record(deployed), Adopt, 1},
		"failed, and died before the status":     {start(none).record(failed), Adopt, 1},
		"made by others":                         {start(none).record(deployed, by("")), Upgrade, 0},
		"made for another wish":                  {start(none).record(deployed, by("other")), Upgrade, 0},
		"rolled back by the helm command line":   {start(none).record(superseded).known(install, 0, 0).record(deployed, said("Rollback to 1")), Upgrade, 0},
		"record edited by others":                {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Records[0].Digest = "x" }), Upgrade, 0},
		"of the toolkit, in another form":        {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Status.History[0].APIVersion, s.Records[0].Digest = "", "x" }), None, 0},
		"chart has another version":              {start(none).record(deployed).known(install, 0, 0).with(chart("web", "2")), Upgrade, 0},
		"chart has another name":                 {start(none).record(deployed).known(install, 0, 0).with(chart("db", "1")), Uninstall, 0},
		"chart has another name, in place":       {start(inPlace).record(deployed).known(install, 0, 0).with(chart("db", "1")), Upgrade, 0},
		"values changed":                         {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.ConfigDigest = "w" }), Upgrade, 0},
		"post renderers changed":                 {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.PostRenderersDigest = "p" }), Upgrade, 0},
		"common metadata changed":                {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.CommonMetadataDigest = "p" }), Upgrade, 0},
		"only the generation changed":            {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.Generation = 2 }), None, 0},
		"forced":                                 {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.ForceAt = "1" }), Upgrade, 0},
		"forced, and done":                       {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.ForceAt, s.Status.LastHandledForceAt = "1", "1" }), None, 0},
		"other target namespace":                 {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.Namespace = "b" }), Uninstall, 0},
		"other storage namespace":                {start(none).record(deployed).known(install, 0, 0).with(func(s *State) { s.Wish.StorageNamespace = "b" }), Uninstall, 0},
		"killed in an install":                   {start(none).record(release.StatusPendingInstall), Unlock, 1},
		"killed in an upgrade":                   {start(none).record(deployed).known(install, 0, 0).record(release.StatusPendingUpgrade), Unlock, 2},
		"killed in a rollback":                   {start(none).record(deployed).record(failed).known(upgrade, 0, 1).record(release.StatusPendingRollback), Unlock, 3},
		"killed in an uninstall":                 {start(none).record(release.StatusUninstalling), Uninstall, 0},
		"killed in an uninstall after a failure": {start(none).record(release.StatusUninstalling).known(install, 1, 0), RemediateUninstall, 0},
		"interrupted install":                    {start(none).record(failed, said(Interrupted)), Install, 0},
		"interrupted upgrade":                    {start(none).record(deployed).known(install, 0, 0).record(failed, said(Interrupted)), Upgrade, 0},
		"interrupted rollback": {start(upgradeRetries(1, "")).record(deployed).record(failed).known(upgrade, 0, 1).
			record(failed, said(Interrupted)), Rollback, 1},
		"install failed, no remediation":          {start(none).record(failed).known(install, 1, 0), Stall, 0},
		"install failed, one retry":               {start(installRetries(1, nil)).record(failed).known(install, 1, 0), RemediateUninstall, 0},
		"install failed, undone":                  {start(installRetries(1, nil)).known(install, 1, 0), Install, 0},
		"install failed, retries used up":         {start(installRetries(1, nil)).record(failed).known(install, 2, 0), Stall, 0},
		"install failed, last one undone":         {start(installRetries(0, &yes)).record(failed).known(install, 1, 0), RemediateUninstall, 0},
		"install failed, last one was undone":     {start(installRetries(0, &yes)).record(release.StatusUninstalled).known(install, 1, 0), Stall, 0},
		"install failed, retries without end":     {start(installRetries(-1, nil)).record(failed).known(install, 99, 0), RemediateUninstall, 0},
		"install failed, something new":           {start(none).record(failed).known(install, 1, 0).with(chart("web", "2")), Upgrade, 0},
		"install failed, values new":              {start(none).record(failed).known(install, 1, 0).with(func(s *State) { s.Wish.ConfigDigest = "w" }), Upgrade, 0},
		"install failed, reset":                   {start(none).record(failed).known(install, 1, 0).with(func(s *State) { s.Wish.ResetAt = "1" }), Upgrade, 0},
		"install failed, became ready":            {start(none).record(failed, said(NotReady)).known(install, 1, 0).with(func(s *State) { s.Healthy = true }), Promote, 1},
		"install failed, ready but hooks are not": {start(none).record(failed, said(NotReady), func(r *Record) { r.HooksLeft = true }).known(install, 1, 0).with(func(s *State) { s.Healthy = true }), Stall, 0},
		"install failed otherwise, objects ready": {start(none).record(failed).known(install, 1, 0).with(func(s *State) { s.Healthy = true }), Stall, 0},
		"install failed, retry later":             {start(retryOnFailure).record(failed).known(install, 1, 0), Wait, 0},
		"install failed, retry now":               {start(retryOnFailure).record(failed).known(install, 1, 0).with(func(s *State) { s.Now = noon.Add(time.Minute) }), Upgrade, 0},
		"upgrade failed, no remediation":          {start(none).record(deployed).record(failed).known(upgrade, 0, 1), Stall, 0},
		"upgrade failed, one retry":               {start(upgradeRetries(1, "")).record(deployed).record(failed).known(upgrade, 0, 1), Rollback, 1},
		"upgrade failed, rolled back, one retry": {start(upgradeRetries(1, "")).record(superseded, func(r *Record) { r.Chart.Version = "0" }).record(failed).
			record(deployed, func(r *Record) { r.Chart.Version = "0" }).known(upgrade, 0, 1), Upgrade, 0},
		"upgrade failed twice, rolled back to the rollback": {start(upgradeRetries(1, "")).record(superseded).record(failed).record(deployed).record(failed).known(upgrade, 0, 2), Rollback, 3},
		"upgrade failed twice, rolled back": {start(upgradeRetries(1, "")).record(superseded).record(failed).record(superseded).record(failed).
			record(deployed, func(r *Record) { r.Chart.Version = "0" }).known(upgrade, 0, 2), Stall, 0},
		"upgrade failed, by uninstall":        {start(upgradeRetries(1, helmv2.RemediateByUninstall)).record(deployed).record(failed).known(upgrade, 0, 1), RemediateUninstall, 0},
		"upgrade failed, uninstalled":         {start(upgradeRetries(1, helmv2.RemediateByUninstall)).known(upgrade, 0, 1), Install, 0},
		"upgrade failed, nothing to go to":    {start(upgradeRetries(1, "")).record(failed).record(failed).known(upgrade, 0, 1), Upgrade, 0},
		"tests have not run":                  {start(tested).record(deployed, hasTests).known(install, 0, 0), Test, 1},
		"tests, but the chart has none":       {start(tested).record(deployed).known(install, 0, 0), None, 0},
		"tests failed":                        {start(tested).record(deployed, hasTests).known(install, 1, 0).with(failedTests), Stall, 0},
		"tests failed, ignored":               {start(ignored).record(deployed, hasTests).known(install, 0, 0).with(failedTests), None, 0},
		"drift, corrected":                    {start(correcting).record(deployed).known(install, 0, 0).with(drift), CorrectDrift, 1},
		"drift, only reported":                {start(warning).record(deployed).known(install, 0, 0).with(drift), None, 0},
		"deleted":                             {start(none).record(deployed).known(install, 0, 0).with(deleting), Uninstall, 0},
		"deleted in a pending upgrade":        {start(none).record(release.StatusPendingUpgrade).known(install, 0, 0).with(deleting), Uninstall, 0},
		"deleted, gone":                       {start(none).with(deleting), None, 0},
		"deleted, never ours":                 {start(none).record(deployed, by("")).with(deleting), None, 0},
		"deleted, ours, status never written": {start(none).record(deployed).with(deleting), Uninstall, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Decide(c.world.State)
			if got.Action != c.want || got.Version != c.version {
				t.Errorf("got %q of version %d (%s), want %q of version %d", got.Action, got.Version, got.Message, c.want, c.version)
			}
			if got.Action != None && got.Message == "" {
				t.Error("it does not say why")
			}
		})
	}
}
