package flags

import (
	"encoding/json"
	"strings"
	"testing"
)

const two = gitURL + "--kustomization name=infra prune=true disable-health-check=true --kustomization name=apps dependsOn=infra"

func entry(t *testing.T, words string) Entry {
	t.Helper()
	e, err := Kustomization(strings.Fields(words))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEditKustomizations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		edit func(Have) (*Plan, error)
		want string // the list, or the error
	}{
		{"add", func(h Have) (*Plan, error) { return AddKustomization(h, entry(t, "name=more path=./more")) },
			`[{"name":"infra","prune":true,"wait":false},{"dependsOn":["infra"],"name":"apps"},{"name":"more","path":"./more"}]`},
		{"add what is there", func(h Have) (*Plan, error) { return AddKustomization(h, entry(t, "name=infra")) }, "has a kustomization infra already"},
		{"change", func(h Have) (*Plan, error) { return ChangeKustomization(h, entry(t, "name=infra prune=false")) },
			`[{"name":"infra","prune":false,"wait":false},{"dependsOn":["infra"],"name":"apps"}]`},
		{"change nothing", func(h Have) (*Plan, error) { return ChangeKustomization(h, entry(t, "name=infra")) }, "at least one flag"},
		{"change what is not there", func(h Have) (*Plan, error) { return ChangeKustomization(h, entry(t, "name=other prune=true")) }, "has no kustomization other; it has infra, apps"},
		{"remove", func(h Have) (*Plan, error) { return RemoveKustomization(h, "apps") }, `[{"name":"infra","prune":true,"wait":false}]`},
		{"remove what others need", func(h Have) (*Plan, error) { return RemoveKustomization(h, "infra") }, "depends on infra"},
		{"remove what is not there", func(h Have) (*Plan, error) { return RemoveKustomization(h, "other") }, "has no kustomization other"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := test.edit(made(t, two, nil))
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q in it", err, test.want)
				}
				return
			}
			if got, _ := json.Marshal(nested(plan.Patch, "spec", "kustomizations")); string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestRemovingWhatPrunesIsADoubt(t *testing.T) {
	t.Parallel()
	have := made(t, gitURL+"--kustomization name=infra prune=true --kustomization name=apps", nil)
	for name, doubts := range map[string]int{"infra": 2, "apps": 1} {
		plan, err := RemoveKustomization(have, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Doubts) != doubts {
			t.Errorf("%s: doubts are %q", name, plan.Doubts)
		}
	}
	if got := Pruning(have.Object); len(got) != 1 || got[0] != "infra" {
		t.Errorf("%v prune", got)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	have := made(t, two+" --https-user me --https-key it", nil)
	plan, err := Create("fleet", "ns", given(gitURL+"--kustomization name=apps path=./apps", nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := Replace(have, plan); err != nil {
		t.Fatal(err)
	}
	want := `{"gitRepository":{"httpsUser":null},"kustomizations":[{"name":"apps","path":"./apps"}],"protectedParametersSecretRef":null}`
	if got, _ := json.Marshal(plan.Patch["spec"]); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if moved(plan) != "-httpsKey" {
		t.Errorf("protected %q", moved(plan))
	}
	if len(plan.Doubts) != 1 || !strings.Contains(plan.Doubts[0], "kustomization infra of ns/fleet") {
		t.Errorf("doubts %q", plan.Doubts)
	}
	other, err := Create("fleet", "ns", given(gitURL+"--scope namespace", nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := Replace(have, other); err == nil || !strings.Contains(err.Error(), "can't be changed") {
		t.Errorf("another scope: %v", err)
	}
}

// TestPatches: a difference, merged, gives what it was made for.
func TestPatches(t *testing.T) {
	t.Parallel()
	objects := []string{`{}`, `{"a":1}`, `{"a":{"b":1,"c":2}}`, `{"a":{"c":3},"d":[1]}`, `{"a":[1,2]}`, `{"a":{"b":{}}}`}
	for _, from := range objects {
		for _, to := range objects {
			a, b := map[string]any{}, map[string]any{}
			if json.Unmarshal([]byte(from), &a) != nil || json.Unmarshal([]byte(to), &b) != nil {
				t.Fatal("objects")
			}
			if got, _ := json.Marshal(mergePatch(a, difference(a, b))); string(got) != to {
				t.Errorf("from %s to %s: got %s", from, to, got)
			}
		}
	}
}
