package prune

import (
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

func TestRightsAreDeletedLast(t *testing.T) {
	t.Parallel()
	order := []schema.GroupKind{
		{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"},
		{Group: "apps", Kind: "Deployment"},
		{Kind: "ConfigMap"},
		{Kind: "Namespace"},
		{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"},
	}
	var got []int
	for _, gk := range order {
		got = append(got, stage(gk))
	}
	if !slices.IsSorted(got) || len(slices.Compact(got)) != len(order) {
		t.Errorf("got %v", got)
	}
	for _, gk := range []schema.GroupKind{{Kind: "ServiceAccount"}, {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}} {
		if stage(gk) != stages-1 {
			t.Errorf("%s is deleted in stage %d", gk, stage(gk))
		}
	}
}

// FuzzDecide: whatever the live view says, only what is this unit's, free to go
// and not on its way is deleted.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		owners := []live.User{unit, owner("flux-system", "other"), owner("team", "apps"), {}}
		record := live.Record{Owner: owners[r.IntN(len(owners))], Keep: r.IntN(2) == 0, Deleting: r.IntN(2) == 0}
		request := Request{Unit: unit, Consent: r.IntN(2) == 0, Leave: r.IntN(2) == 0}
		c := candidate{key: key("shop", "a", "", "v1", "ConfigMap"), record: record, known: true}
		out, err := (&Pruner{}).decide(t.Context(), request, c)
		if err != nil {
			t.Fatal(err)
		}
		if free := record.Owner == unit && !record.Keep && !record.Deleting; (out.Verdict == Delete) != free {
			t.Errorf("%+v with %+v: %s", record, request, out.Verdict)
		}
	})
}

// TestNamespacesWaitForReleases of the same set, if the unit comes back for them.
func TestNamespacesWaitForReleases(t *testing.T) {
	t.Parallel()
	release, unit := key("ns", "app", "helm.toolkit.fluxcd.io", "v2", "HelmRelease"), key("ns", "apps", "kustomize.toolkit.fluxcd.io", "v1", "Kustomization")
	claim, namespace, role := key("ns", "data", "", "v1", "PersistentVolumeClaim"), key("", "ns", "", "v1", "Namespace"), key("", "r", "rbac.authorization.k8s.io", "v1", "ClusterRole")
	for name, c := range map[string]struct {
		before  Outcome
		returns bool
		held    int
	}{
		"a release is going":          {Outcome{Key: release, Verdict: Wait}, true, 1},
		"a Kustomization is going":    {Outcome{Key: unit, Verdict: Wait}, true, 1},
		"the release is gone":         {Outcome{Key: release, Verdict: Gone}, true, 0},
		"something else is going":     {Outcome{Key: claim, Verdict: Wait}, true, 0},
		"the unit does not come back": {Outcome{Key: release, Verdict: Wait}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rest, held := Request{Returns: c.returns}.hold([]kube.Key{namespace, role}, []Outcome{c.before})
			if len(held) != c.held || len(rest) != 2-c.held || rest[len(rest)-1] != role {
				t.Fatalf("%v are held, %v are not", held, rest)
			}
			for _, o := range held {
				if want := (Outcome{Key: namespace, Verdict: Wait, Reason: c.before.Key.String() + " goes first"}); o != want {
					t.Errorf("got %+v, want %+v", o, want)
				}
			}
		})
	}
}
