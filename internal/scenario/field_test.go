package scenario_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

func TestField(t *testing.T) {
	t.Parallel()
	var obj any
	text := "status: {conditions: [{type: Ready, status: 'True'}, {type: Stalled, status: 'False'}], list: [a, b], containers: [{name: web, image: x}]}"
	if err := yaml.Unmarshal([]byte(text), &obj); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"status.conditions.Stalled.status": "False", "status.conditions.0.type": "Ready", "status.conditions.count": 2,
		"status.containers.web.image": "x", "status.list.1": "b",
		"status.list.2": nil, "status.conditions.None": nil, "status.none": nil, "status.list.1.x": nil, "status.list.-1": nil,
	} {
		if got, found := scenario.Field(obj, strings.Split(path, ".")...); got != want || found != (want != nil) {
			t.Errorf("%s: got %v, %t", path, got, found)
		}
	}
}
