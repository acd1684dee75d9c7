package drift

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	labels := []any{"metadata", "labels"}
	for name, c := range map[string]struct {
		happened change // to the object on the cluster
		want     string
	}{
		"nothing":                   {func(testing.TB, *unstructured.Unstructured) {}, ""},
		"bookkeeping only":          {setting("9", "metadata", "resourceVersion"), ""},
		"status only":               {setting(int64(9), "status", "replicas"), ""},
		"value, by its writer":      {setting(int64(5), "spec", "replicas"), "spec.replicas (by kubectl)"},
		"value in a list item":      {setting("web:9", at(web, "image")...), "spec.template.spec.containers[web].image (by kubectl)"},
		"value in somebody's item":  {setting("proxy:9", at(proxy, "image")...), "spec.template.spec.containers[proxy].image (by sidecar-injector)"},
		"value in an atomic list":   {setting(":80", at(web, "args", 1)...), "spec.template.spec.containers[web].args[1] (by kubectl)"},
		"item without a name":       {setting(int64(80), at(web, "ports", 0, "containerPort")...), "spec.template.spec.containers[web].ports[0].containerPort (by kubectl)"},
		"field gone, by the newest": {unsetting(at(labels, "app")...), "metadata.labels.app (by kubectl)"},
		"field too many":            {setting("x", at(labels, "x")...), "metadata.labels.x (by kubectl)"},
		"item too many, as a whole": {setting([]any{map[string]any{"name": "web"}}, at(template, "containers")...), "spec.template.spec.containers (by sidecar-injector)"},
		"another type":              {setting("none", at(web, "ports")...), "spec.template.spec.containers[web].ports (by kubectl)"},
		"null for a value":          {setting(nil, "spec", "replicas"), "spec.replicas (by kubectl)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := decode(t, deployment)
			c.happened(t, live)
			if got := texts(Differences(live, decode(t, deployment), ours)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func texts(found []Difference) string {
	out := make([]string, len(found))
	for i, d := range found {
		out[i] = d.String()
	}
	return strings.Join(out, "; ")
}

func TestDifferencesAreSorted(t *testing.T) {
	t.Parallel()
	live := decode(t, deployment)
	set(t, live, int64(5), "spec", "replicas")
	set(t, live, "x", "metadata", "labels", "app")
	set(t, live, "web:9", at(web, "image")...)
	for range 20 {
		got := Differences(live, decode(t, deployment), ours)
		if len(got) != 3 || !slices.IsSortedFunc(got, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) }) {
			t.Fatalf("got %v, want three, sorted", got)
		}
	}
}

func TestDifferencesOfNumbersThatAreTheSame(t *testing.T) {
	t.Parallel()
	live, wanted := decode(t, deployment), decode(t, deployment)
	set(t, live, float64(2), "spec", "replicas")
	if got := Differences(live, wanted, ours); len(got) > 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestDifferencesHideSecrets(t *testing.T) {
	t.Parallel()
	const secret = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","labels":{"a":"%[1]s"},"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"%[2]s"}},"data":{"a":"%[2]s"},"stringData":{"b":"%[2]s"},"list":["%[2]s"]}`
	before, after := decode(t, fmt.Sprintf(secret, "x", "hunter2")), decode(t, fmt.Sprintf(secret, "y", "hunter3"))
	added := decode(t, fmt.Sprintf(secret, "y", "hunter4"))
	unset(t, after, "metadata", "annotations")
	unset(t, added, "data")
	for _, pair := range [][2]*unstructured.Unstructured{{before, after}, {after, before}, {before, added}, {added, before}} {
		got := Differences(pair[0], pair[1], ours)
		if len(got) < 4 {
			t.Fatalf("got %v", got)
		}
		if strings.Contains(fmt.Sprintf("%+v", got), "hunter") {
			t.Errorf("a value shows in %+v", got)
		}
	}
	if got := Differences(before, added, ours)[3]; got != (Difference{Path: "metadata.labels.a", Before: `"x"`, After: `"y"`}) {
		t.Errorf("got %+v", got)
	}
}

func TestDifferencesShowValues(t *testing.T) {
	t.Parallel()
	const content = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{},"data":{"a":"%s"%s}}`
	long := strings.Repeat("ä", 500)
	got := Differences(decode(t, fmt.Sprintf(content, "1", `,"gone":"x"`)), decode(t, fmt.Sprintf(content, long, `,"new":"y"`)), ours)
	if len(got) != 3 {
		t.Fatalf("got %+v", got)
	}
	if d := got[0]; d.Before != `"1"` || len(d.After) > shownBytes+3 || !strings.HasSuffix(d.After, "ä…") || !utf8.ValidString(d.After) {
		t.Errorf("got %+v", d)
	}
	if got[1].Before != `"x"` || got[1].After != "" || got[2].Before != "" || got[2].After != `"y"` {
		t.Errorf("got %+v", got[1:])
	}
}

func TestDifferencesAreOursOrNobodysWithoutOthers(t *testing.T) {
	t.Parallel()
	content := `{"apiVersion":"v1","kind":"T","metadata":{},"a":1}`
	live, wanted := manage(t, content, `{"f:a":{}}`), decode(t, content)
	set(t, wanted, int64(2), "a")
	if got := Differences(live, wanted, ours); len(got) != 1 || got[0].Manager != "" || got[0].String() != "a" {
		t.Errorf("got %v, want one by nobody", got)
	}
}
