package cli

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// notDriven are the kinds that a one-shot run does not wait for, since it would
// wait for ever, and why.
var notDriven = map[string]string{
	sourcev1.ExternalArtifactKind:  "its status is written by others, and never says that a request was handled",
	clusterconfigv1.FluxConfigKind: "it is never done: a one-shot run drives what an engine made of it before",
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

func TestCompletionOffersEveryKind(t *testing.T) {
	t.Parallel()
	var want []string
	for _, gvk := range defined(t) {
		want = append(want, strings.ToLower(gvk.Kind))
	}
	have := slices.Sorted(slices.Values(ourKinds))
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("completion offers %v, the definitions are of %v", have, want)
	}
}
