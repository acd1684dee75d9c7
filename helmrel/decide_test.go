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
	others := func(r *Record) { r.Others = true }
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
		"upgrade failed, by uninstall":                     {start(upgradeRetries(1, helmv2.RemediateByUninstall)).record(deployed).record(failed).known(upgrade, 0, 1), RemediateUninstall, 0},
		"upgrade failed, uninstalled":                      {start(upgradeRetries(1, helmv2.RemediateByUninstall)).known(upgrade, 0, 1), Install, 0},
		"upgrade failed, nothing to go to":                 {start(upgradeRetries(1, "")).record(failed).record(failed).known(upgrade, 0, 1), Upgrade, 0},
		"tests have not run":                               {start(tested).record(deployed, hasTests).known(install, 0, 0), Test, 1},
		"tests, but the chart has none":                    {start(tested).record(deployed).known(install, 0, 0), None, 0},
		"tests failed":                                     {start(tested).record(deployed, hasTests).known(install, 1, 0).with(failedTests), Stall, 0},
		"tests failed, ignored":                            {start(ignored).record(deployed, hasTests).known(install, 0, 0).with(failedTests), None, 0},
		"drift, corrected":                                 {start(correcting).record(deployed).known(install, 0, 0).with(drift), CorrectDrift, 1},
		"drift, only reported":                             {start(warning).record(deployed).known(install, 0, 0).with(drift), None, 0},
		"deleted":                                          {start(none).record(deployed).known(install, 0, 0).with(deleting), Uninstall, 0},
		"deleted in a pending upgrade":                     {start(none).record(release.StatusPendingUpgrade).known(install, 0, 0).with(deleting), Uninstall, 0},
		"deleted, gone":                                    {start(none).with(deleting), None, 0},
		"deleted, never ours":                              {start(none).record(deployed, by("")).with(deleting), None, 0},
		"deleted in a failed release, older says deployed": {start(none).record(deployed).record(release.StatusPendingUpgrade).with(deleting), Uninstall, 0},
		"others are at work":                               {start(none).record(deployed).known(install, 0, 0).record(release.StatusPendingRollback, others), Wait, 0},
		"others were at work":                              {start(none).record(deployed).known(install, 0, 0).record(release.StatusPendingRollback, others).with(func(s *State) { s.Now = noon.Add(abandoned) }), Unlock, 2},
		"others are uninstalling":                          {start(none).record(release.StatusUninstalling, others, func(r *Record) { r.Deleted = noon }), Wait, 0},
		"others are uninstalling, and it is deleted":       {start(none).record(release.StatusUninstalling, others, func(r *Record) { r.Deleted = noon }).known(install, 0, 0).with(deleting), Uninstall, 0},
		"two say deployed":                                 {start(none).record(deployed).known(install, 0, 0).record(deployed).with(func(s *State) { s.Records[1].Status = deployed }), Tidy, 2},
		"uninstalled, an older says deployed":              {start(none).record(deployed).record(release.StatusUninstalled).with(deleting), Tidy, 2},
		"failed, an older says deployed":                   {start(none).record(deployed).record(failed).known(upgrade, 0, 1), Stall, 0},
		"deleted, ours, status never written":              {start(none).record(deployed).with(deleting), Uninstall, 0},
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

func undoing(token string) func(*Record) {
	return func(r *Record) { r.Undoes, r.Token, r.Description = token, "", "Rollback to 1" }
}

// TestDecideAfterItsOwnDeath: a step was taken, and its process ended before the
// status said so.
func TestDecideAfterItsOwnDeath(t *testing.T) {
	t.Parallel()
	const deployed, failed, superseded = release.StatusDeployed, release.StatusFailed, release.StatusSuperseded
	spec := helmv2.HelmReleaseSpec{
		Install: &helmv2.Install{Remediation: &helmv2.InstallRemediation{Retries: 1}},
		Upgrade: &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: 1}},
	}
	token := start(spec).Wish.Token()
	upgraded := func(change ...func(*Record)) *world {
		return start(spec).record(superseded).record(failed).known(helmv2.ActionUpgrade, 0, 1).record(deployed, change...)
	}
	gone := func(s *State) { s.Records = nil }
	for name, c := range map[string]struct {
		world *world
		want  Action
		done  bool
	}{
		"rolled back":                        {upgraded(undoing(token)), Rollback, true},
		"rolled back by others":              {upgraded(said("Rollback to 1"), by("")), Upgrade, false},
		"rolled back, and something new":     {upgraded(undoing("other")), Upgrade, false},
		"the rollback failed":                {upgraded(undoing(token)).with(func(s *State) { s.Records[0].Status = failed }), Rollback, true},
		"others rolled back to our rollback": {upgraded(undoing(token)).known(helmv2.ActionUpgrade, 0, 1).record(deployed, undoing(token)), Upgrade, false},
		"uninstalled after a failure":        {start(spec).record(failed).known(helmv2.ActionInstall, 1, 0).with(gone), RemediateUninstall, true},
		"the same, and something new":        {start(spec).record(failed).known(helmv2.ActionInstall, 1, 0).with(gone).with(func(s *State) { s.Wish.ConfigDigest = "w" }), Install, false},
		"nothing was to be undone":           {start(helmv2.HelmReleaseSpec{}).record(failed).known(helmv2.ActionInstall, 1, 0).with(gone), Stall, false},
		"a good release was uninstalled":     {start(spec).record(deployed).known(helmv2.ActionInstall, 0, 0).with(gone), Install, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Decide(c.world.State); got.Action != c.want || got.Done != c.done {
				t.Errorf("got %q, done: %t (%s), want %q, done: %t", got.Action, got.Done, got.Message, c.want, c.done)
			}
		})
	}
}

// TestRefusedStepsLeaveTime: what was refused is tried again, not at once.
func TestRefusedStepsLeaveTime(t *testing.T) {
	t.Parallel()
	spec := helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{Remediation: &helmv2.UpgradeRemediation{Retries: 1}}}
	deleted := start(spec).record(release.StatusUninstalling).known(helmv2.ActionInstall, 0, 0).with(func(s *State) { s.Wish.Deleting = true })
	failed := start(spec).record(release.StatusDeployed).record(release.StatusFailed).known(helmv2.ActionUpgrade, 0, 1)
	for name, c := range map[string]struct {
		world             *world
		condition, reason string
		want              Action
	}{
		"uninstall": {deleted, helmv2.ReleasedCondition, helmv2.UninstallFailedReason, Uninstall},
		"rollback":  {failed, helmv2.RemediatedCondition, helmv2.RollbackFailedReason, Rollback},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Decide(c.world.State); got.Action != c.want || got.Retry {
				t.Errorf("at first: %+v", got)
			}
			c.world.Status.Conditions = []metav1.Condition{{Type: c.condition, Status: metav1.ConditionFalse, Reason: c.reason}}
			if got := Decide(c.world.State); got.Action != c.want || !got.Retry {
				t.Errorf("when it was refused: %+v", got)
			}
		})
	}
}

// TestNoActionMeetsAPendingRecord: the SDK refuses to act on a record that says pending,
// in words that help nobody ("another operation is in progress"). It is never asked to:
// whoever left it, and whatever else is true.
func TestNoActionMeetsAPendingRecord(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*State){
		"nothing else": func(*State) {},
		"new chart":    func(s *State) { s.Wish.Chart.Version = "2" },
		"forced":       func(s *State) { s.Wish.ForceAt = "1" },
		"reset":        func(s *State) { s.Wish.ResetAt = "1" },
		"renamed":      func(s *State) { s.Wish.Chart.Name = "db" },
		"moved":        func(s *State) { s.Wish.Namespace = "b" },
		"deleted":      func(s *State) { s.Wish.Deleting = true },
		"failures": func(s *State) {
			s.Status.UpgradeFailures, s.Status.LastAttemptedReleaseAction = 3, helmv2.ActionUpgrade
		},
		"by others": func(s *State) { s.Records[0].Others = true },
		"drift":     func(s *State) { s.Drift = []string{"x"} },
		"later":     func(s *State) { s.Now = noon.Add(time.Hour) },
	}
	for _, status := range []release.Status{release.StatusPendingInstall, release.StatusPendingUpgrade, release.StatusPendingRollback} {
		for first, one := range changes {
			for second, two := range changes {
				w := start(helmv2.HelmReleaseSpec{}).record(release.StatusDeployed).known(helmv2.ActionInstall, 0, 0).record(status).with(one).with(two)
				switch got := Decide(w.State); got.Action {
				case Unlock, Wait, Uninstall: // which goes by what is written, pending or not
				default:
					t.Errorf("%s, %s, %s: %q would be refused", status, first, second, got.Action)
				}
			}
		}
	}
}
