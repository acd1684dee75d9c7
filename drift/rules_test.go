package drift

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// written is a live object with one more field, by some manager.
type written struct{ object, manager, subresource, fields string }

func (w written) live(t testing.TB) string {
	t.Helper()
	obj := decode(t, w.object)
	var f map[string]any
	if err := json.Unmarshal([]byte(w.fields), &f); err != nil {
		t.Fatal(err)
	}
	set(t, obj, []any{map[string]any{"manager": w.manager, "operation": "Update", "subresource": w.subresource, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": f}}, "metadata", "managedFields")
	text, err := obj.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHeld(t *testing.T) {
	t.Parallel()
	const (
		scaled  = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":5,"paused":false}}`
		hook    = `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"web"},"webhooks":[{"name":"a","clientConfig":{"caBundle":"Zm9v","url":"https://a"}}]}`
		hooked  = `{"f:webhooks":{"k:{\"name\":\"a\"}":{"f:clientConfig":{"f:caBundle":{}}}}}`
		crd     = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"web"},"spec":{"group":"g","conversion":{"webhook":{"clientConfig":{"caBundle":"Zm9v"}}}}}`
		service = `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"web"},"spec":{"group":"g","caBundle":"Zm9v"}}`
		sized   = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"1"}}}]}}}}`
		resized = `{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:resources":{"f:limits":{"f:cpu":{}}}}}}}}}`
		role    = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"web"},"rules":[{"verbs":["get"]}]}`
		job     = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"web"},"spec":{"suspend":true,"parallelism":1}}`
		count   = `{"f:spec":{"f:replicas":{}}}`
	)
	for name, c := range map[string]struct {
		written
		want string // the rule
		gone string // the field that is not applied
	}{
		"replicas, by an autoscaler":         {written{scaled, "kube-controller-manager", "scale", count}, "hpa-replicas", `"replicas"`},
		"replicas, by kubectl scale":         {written{scaled, "kubectl", "scale", count}, "", ""},
		"replicas, by an edit":               {written{scaled, "somebody", "", count}, "", ""},
		"replicas, by us":                    {written{scaled, ours, "scale", count}, "", ""},
		"another field of the autoscaler's":  {written{scaled, "kube-controller-manager", "scale", `{"f:spec":{"f:min":{}}}`}, "", ""},
		"webhook, by cert-manager":           {written{hook, "cert-manager-cainjector", "", hooked}, "webhook-ca-bundle", `"caBundle"`},
		"webhook, by kubectl":                {written{hook, "kubectl-edit", "", hooked}, "", ""},
		"definition, by a controller":        {written{crd, "capi-operator", "", `{"f:spec":{"f:conversion":{"f:webhook":{"f:clientConfig":{"f:caBundle":{}}}}}}`}, "crd-conversion-ca-bundle", `"caBundle"`},
		"API service, by a controller":       {written{service, "metrics-server", "", `{"f:spec":{"f:caBundle":{}}}`}, "apiservice-ca-bundle", `"caBundle"`},
		"resources, by the autoscaler":       {written{sized, "vpa-updater", "", resized}, "vpa-resources", `"cpu"`},
		"resources, by somebody":             {written{sized, "somebody", "", resized}, "", ""},
		"rules, by the aggregation":          {written{role, "clusterrole-aggregation-controller", "", `{"f:rules":{}}`}, "aggregated-roles", `"rules"`},
		"suspended by Kueue":                 {written{job, "kueue-admission", "", `{"f:spec":{"f:suspend":{}}}`}, "kueue-suspend", `"suspend"`},
		"suspended by somebody":              {written{job, "somebody", "", `{"f:spec":{"f:suspend":{}}}`}, "", ""},
		"a rule for another kind of objects": {written{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"rules":1}`, "clusterrole-aggregation-controller", "", `{"f:rules":{}}`}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wanted, live := decode(t, c.object), decode(t, c.live(t))
			by, out := Rules{}.Held(wanted, live, ours)
			if strings.Join(by, ",") != c.want {
				t.Fatalf("got %v, want %s", by, c.want)
			}
			text, err := out.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if c.gone != "" && strings.Contains(string(text), c.gone) {
				t.Errorf("%s is still in %s", c.gone, text)
			}
			if by, _ := (Rules{}).Without(c.want).Held(wanted, live, ours); len(by) > 0 {
				t.Errorf("%v although it is off", by)
			}
		})
	}
}

func TestParseRules(t *testing.T) {
	t.Parallel()
	all := names()
	if !slices.IsSorted(all) {
		t.Errorf("the library is not sorted: %v", all)
	}
	for text, want := range map[string][]string{
		"":                                nil,
		"-hpa-replicas":                   {"hpa-replicas"},
		" -hpa-replicas, -vpa-resources ": {"hpa-replicas", "vpa-resources"},
		"-hpa-replicas,hpa-replicas":      nil,
		"none":                            all,
		"none,hpa-replicas":               slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "hpa-replicas" }),
	} {
		rules, err := ParseRules(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		var off []string
		for _, name := range all {
			if rules.off[name] {
				off = append(off, name)
			}
		}
		if !slices.Equal(off, want) {
			t.Errorf("%q turns off %v, want %v", text, off, want)
		}
	}
	for _, text := range []string{"hpa", "-", "-none"} {
		if _, err := ParseRules(text); err == nil || !strings.Contains(err.Error(), "the rules are aggregated-roles, ") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRulesAreDocumented holds docs/drift.md to the library.
func TestRulesAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/drift.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range Library() {
		if !strings.Contains(string(page), "\n| `"+rule.Name+"` | ") || rule.What == "" {
			t.Errorf("docs/drift.md has no line for %s", rule.Name)
		}
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	gk := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	if got := (Rules{}).Kept(gk); len(got) != 1 || got[0].String() != "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt" {
		t.Errorf("got %v", got)
	}
	if got := (Rules{}).Without("rollout-restart").Kept(gk); got != nil {
		t.Errorf("got %v although it is off", got)
	}
}
