package cli

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// TestDriftAsksThePodsThatInstallMakes: one label, on both sides.
func TestDriftAsksThePodsThatInstallMakes(t *testing.T) {
	t.Parallel()
	selector, err := labels.Parse(enginePods)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, obj := range deployment("flux-system", "plumb:test") {
		if obj.GetKind() != "Deployment" {
			continue
		}
		found = true
		have, _, err := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
		if err != nil || !selector.Matches(labels.Set(have)) {
			t.Errorf("%s does not match %v, %v", enginePods, have, err)
		}
	}
	if !found {
		t.Error("there is no Deployment")
	}
}
