package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/preview"
)

// TestTrackerDoesNotWaitForWhatADryRunPlans: what is not on the cluster comes to no end.
func TestTrackerDoesNotWaitForWhatADryRunPlans(t *testing.T) {
	t.Parallel()
	key := kube.Key{ObjMetadata: object.ObjMetadata{Namespace: "apps", Name: "web", GroupKind: helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind).GroupKind()}, Version: "v2"}
	for name, planned := range map[string]*unstructured.Unstructured{"made": nil, "planned": {Object: map[string]any{"kind": "HelmRelease"}}} {
		tr := newTracker(nil)
		tr.note(engine.Progress{
			Kind: kustomizev1.KustomizationKind, Name: types.NamespacedName{Namespace: "apps", Name: "all"},
			Outcome: engine.Outcome{Actions: []engine.Action{{Key: key, Verb: string(apply.Created), Object: planned}}},
		})
		if want := planned != nil; tr.done() != want || len(tr.planned) == 1 != want {
			t.Errorf("%s: done %t, planned %v", name, tr.done(), tr.planned)
		}
	}
}

// TestForetell: what would become of a release takes the place of what there is, and
// hooks are none of its objects.
func TestForetell(t *testing.T) {
	t.Parallel()
	key := func(name string) kube.Key {
		return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: "apps", Name: name, GroupKind: schema.GroupKind{Kind: "ConfigMap"}}, Version: "v1"}
	}
	s := summary{Result: resultReady, Counts: map[string]int{"configured": 1, "unchanged": 3}, Objects: []report{
		{ID: "HelmRelease/apps/b", State: string(ready), Source: "HelmChart/apps/b", Unchanged: 3, Changes: []change{{ID: "ConfigMap/apps/x", Action: "configured"}}},
	}}
	s.foretell(preview.Prospect{Name: "apps/b", Version: "2.0.0", Action: "upgrade", Changes: []apply.Change{{Key: key("x"), Action: apply.Created}, {Key: key("y"), Action: apply.Unchanged}}, Hooks: []preview.Hook{{Key: key("h"), At: "pre-upgrade"}}})
	s.foretell(preview.Prospect{Name: "apps/a", Err: errors.New("no chart")})
	want := summary{Result: resultFailed, Counts: map[string]int{"configured": 0, "created": 1, "unchanged": 1}, Objects: []report{
		{ID: "HelmRelease/apps/a", State: string(failed), Reason: "Failed", Message: "no chart"},
		{ID: "HelmRelease/apps/b", State: string(ready), Source: "HelmChart/apps/b", Revision: "2.0.0", Message: "would upgrade", Unchanged: 1, Changes: []change{
			{ID: "ConfigMap/apps/x", Action: "created"}, {ID: "ConfigMap/apps/h", Action: "run", Detail: "pre-upgrade", Hook: true},
		}},
	}}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
	var out strings.Builder
	if err := s.writeTree(&out); err != nil || !strings.Contains(out.String(), "hook ConfigMap/apps/h run: pre-upgrade") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
