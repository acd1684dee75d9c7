package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/api/crds"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// notDriven are the kinds that a one-shot run does not wait for, since it would
// wait for ever, and why.
var notDriven = map[string]string{
	sourcev1.ExternalArtifactKind: "its status is written by others, and never says that a request was handled",
}

func defined(t *testing.T) []schema.GroupVersionKind {
	t.Helper()
	kinds, err := definedKinds()
	if err != nil {
		t.Fatal(err)
	}
	if len(kinds) == 0 {
		t.Fatal("no kinds are defined")
	}
	return kinds
}

func TestOneShotRunDrivesEveryKindThatItCan(t *testing.T) {
	t.Parallel()
	for _, gvk := range defined(t) {
		_, left := notDriven[gvk.Kind]
		if driven := slices.Contains(ownKinds, gvk); driven == left {
			t.Errorf("%s: driven is %t, and left out on purpose is %t", gvk, driven, left)
		}
	}
	for _, gvk := range ownKinds {
		if !slices.Contains(defined(t), gvk) {
			t.Errorf("%s is driven, and no definition has it as its stored version", gvk)
		}
	}
}

// TestOurKindsAreTheDefinitions holds the names of kinds to the definitions.
func TestOurKindsAreTheDefinitions(t *testing.T) {
	t.Parallel()
	definitions, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]ourKind{}
	for _, obj := range definitions {
		def := apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &def); err != nil {
			t.Fatal(err)
		}
		names := def.Spec.Names
		if len(names.ShortNames) > 1 || names.Singular != strings.ToLower(names.Kind) {
			t.Errorf("%s has names that the table has no place for: %+v", obj.GetName(), names)
		}
		for _, v := range def.Spec.Versions {
			if v.Storage {
				gvk := schema.GroupVersionKind{Group: def.Spec.Group, Version: v.Name, Kind: names.Kind}
				want[names.Kind] = ourKind{gvk, names.Plural, strings.Join(names.ShortNames, "")}
			}
		}
	}
	have := map[string]ourKind{}
	for _, k := range ourKinds {
		have[k.Kind] = k
	}
	if diff := cmp.Diff(want, have, cmp.AllowUnexported(ourKind{})); diff != "" {
		t.Errorf("the definitions (-) and the table (+) differ:\n%s", diff)
	}
}

func TestKindsAreFoundByEachOfTheirNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"kustomization", "kustomizations", "ks", "kustomizations.kustomize.toolkit.fluxcd.io", "ks.kustomize.toolkit.fluxcd.io"} {
		if found := slices.IndexFunc(ourKinds, func(k ourKind) bool { return k.isCalled(name) }); found < 0 || ourKinds[found].Kind != "Kustomization" {
			t.Errorf("%s: found kind %d", name, found)
		}
	}
	for _, name := range []string{"", "kustomizations.kustomize.config.k8s.io", "deployment", ".source.toolkit.fluxcd.io"} {
		if slices.ContainsFunc(ourKinds, func(k ourKind) bool { return k.isCalled(name) }) {
			t.Errorf("%q is taken for a kind of ours", name)
		}
	}
}

func TestNearestKind(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"kustomisation": "kustomization", "kustomizaton": "kustomization", "GitRepositorys": "gitrepository", "helmrelease s": "helmreleases",
		"fluxconf": "fluxconfig", "nonsense": "", "deployment": "", "": "",
	} {
		if got := nearestKind(name); got != want {
			t.Errorf("%q: nearest is %q, want %q", name, got, want)
		}
	}
}
