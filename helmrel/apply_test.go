package helmrel

import (
	"testing"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

func TestAppliesServerSide(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	install := func(serverSide *bool) helmv2.HelmReleaseSpec {
		return helmv2.HelmReleaseSpec{Install: &helmv2.Install{ServerSideApply: serverSide}}
	}
	upgrade := func(mode string) helmv2.HelmReleaseSpec {
		return helmv2.HelmReleaseSpec{Upgrade: &helmv2.Upgrade{ServerSideApply: mode}}
	}
	rollback := func(mode string) helmv2.HelmReleaseSpec {
		return helmv2.HelmReleaseSpec{Rollback: &helmv2.Rollback{ServerSideApply: mode}}
	}
	const enabled, disabled, auto = helmv2.ServerSideApplyEnabled, helmv2.ServerSideApplyDisabled, "auto"
	for name, c := range map[string]struct {
		spec   helmv2.HelmReleaseSpec
		action Action
		before string // how the newest record was applied
		want   bool
	}{
		"install":                      {helmv2.HelmReleaseSpec{}, Install, "", true},
		"install, enabled":             {install(&yes), Install, "", true},
		"install, disabled":            {install(&no), Install, "", false},
		"upgrade goes on, server-side": {helmv2.HelmReleaseSpec{}, Upgrade, ServerSide, true},
		"upgrade goes on, client-side": {helmv2.HelmReleaseSpec{}, Upgrade, ClientSide, false},
		"upgrade of an older helm's":   {helmv2.HelmReleaseSpec{}, Upgrade, "", false},
		"upgrade, auto":                {upgrade(auto), Upgrade, ClientSide, false},
		"upgrade, enabled":             {upgrade(enabled), Upgrade, ClientSide, true},
		"upgrade, disabled":            {upgrade(disabled), Upgrade, ServerSide, false},
		"rollback, auto":               {rollback(auto), Rollback, ServerSide, true},
		"rollback, enabled":            {rollback(enabled), Rollback, ClientSide, true},
		"rollback, disabled":           {rollback(disabled), Rollback, ServerSide, false},
		"an upgrade's has no effect":   {upgrade(disabled), Rollback, ServerSide, true},
		"drift as the record was":      {upgrade(enabled), CorrectDrift, ClientSide, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records := []Record{{ApplyMethod: c.before}}
			if c.action == Install {
				records = nil
			}
			if got := AppliesServerSide(Wish{Spec: c.spec}, c.action, records); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
