package install

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/plumb-gitops/plumb/drift"
)

// RightsCheck is the check of what the engine may do.
const RightsCheck = "rights of plumb"

// EngineCheck is the check of who works on the cluster.
const EngineCheck = "engine"

// State is how one check ended.
type State string

// The states.
const (
	Right   State = "ok"
	Warning State = "warning" // it works, and somebody should look
	Problem State = "problem" // it does not, or will not
)

// Finding is what one check found. The message says what is wrong, and the way out.
type Finding struct {
	Check   string `json:"check"`
	State   State  `json:"state"`
	Message string `json:"message"`
}

func found(check string, state State, format string, args ...any) Finding {
	return Finding{check, state, fmt.Sprintf(format, args...)}
}

// Oldest is the oldest Kubernetes that Plumb works with: the first that validates
// definitions with rules (CEL) for good.
const Oldest = "1.29.0"

// OnVersion judges the version of an API server, as /version says it.
func OnVersion(text string) Finding {
	v, err := version.ParseGeneric(text)
	switch {
	case err != nil:
		return found("kubernetes", Warning, "the version %q cannot be read", text)
	case v.LessThan(version.MustParseGeneric(Oldest)):
		return found("kubernetes", Problem, "%s is older than %s: upgrade the cluster", text, Oldest)
	default:
		return found("kubernetes", Right, "%s", text)
	}
}

// OnDefinition judges one of our definitions; have is nil where there is none.
func OnDefinition(wanted, have *unstructured.Unstructured) Finding {
	const check = "definitions"
	if have == nil {
		return found(check, Problem, "%s is not there: run plumb install", wanted.GetName())
	}
	var served []string
	versions, _, _ := unstructured.NestedSlice(wanted.Object, "spec", "versions") // it is our own
	for _, v := range versions {
		if of, ok := v.(map[string]any); ok {
			served = append(served, fmt.Sprint(of["name"]))
		}
	}
	stored, _, _ := unstructured.NestedStringSlice(have.Object, "status", "storedVersions") // its form is the API server's
	for _, v := range stored {
		if !slices.Contains(served, v) {
			return found(check, Problem, "%s has objects stored as %s, which this version of Plumb does not serve: use a newer one", have.GetName(), v)
		}
	}
	if strategy, _, _ := unstructured.NestedString(have.Object, "spec", "conversion", "strategy"); strategy == "Webhook" {
		return found(check, Problem, "%s is converted by a webhook of somebody else: remove spec.conversion", have.GetName())
	}
	if changed := drift.Changes(wanted, have); len(changed) > 0 {
		return found(check, Warning, "%s is of another version (%s): run plumb install", have.GetName(), some(changed))
	}
	return found(check, Right, "%s", have.GetName())
}

// OnPart judges an object of the installation; have is nil where there is none.
func OnPart(wanted, have *unstructured.Unstructured) Finding {
	check, name := "installation", wanted.GetKind()+"/"+wanted.GetName()
	if strings.HasPrefix(wanted.GetAPIVersion(), "rbac.") {
		check = RightsCheck
	}
	if have == nil {
		return found(check, Problem, "%s is not there: run plumb install", name)
	}
	if changed := drift.Changes(wanted, have); len(changed) > 0 {
		return found(check, Problem, "%s is not as plumb install makes it (%s): run it again", name, some(changed))
	}
	return found(check, Right, "%s", name)
}

// some names the first few of what may be many.
func some(all []string) string {
	const most = 3
	if len(all) > most {
		return strings.Join(all[:most], ", ") + ", and more"
	}
	return strings.Join(all, ", ")
}

// OnSettings judges the content of the ConfigMap.
func OnSettings(o Options) []Finding {
	_, _, notes, err := o.Checked()
	if err != nil {
		return []Finding{found("settings", Problem, "%s: %s", ConfigMap, strings.ReplaceAll(err.Error(), "\n", "; "))}
	}
	if len(notes) == 0 {
		return []Finding{found("settings", Right, "%s", ConfigMap)}
	}
	var out []Finding
	for _, note := range notes {
		out = append(out, found("settings", Warning, "a setting has no effect: %s", note))
	}
	return out
}

// OnShards judges how engines share the work: members are those that are alive, and
// holders who has each shard, "" for nobody.
func OnShards(o Options, members, holders []string) Finding {
	var free []string
	for i, holder := range holders {
		if !slices.Contains(members, holder) {
			free = append(free, fmt.Sprint(i))
		}
	}
	shared := fmt.Sprintf("%d shards are worked on; engines: %d", len(holders), len(members))
	switch {
	case len(free) > 0:
		return found(EngineCheck, Problem, "nobody works on the shards %s of %d: they are taken within seconds where an engine runs; see the log of Deployment/%s/%s", some(free), len(holders), o.Namespace, Name)
	case len(members) < int(o.Replicas):
		return found(EngineCheck, Warning, "%s, and %d were asked for; see the pods of Deployment/%s/%s", shared, o.Replicas, o.Namespace, Name)
	default:
		return found(EngineCheck, Right, "%s", shared)
	}
}

// OnWebhooks judges a webhook configuration: those that refuse dry runs, and those
// that nobody answers for, stand in the way of what is applied. answered tells
// whether a Service has somebody behind it.
func OnWebhooks(configuration *unstructured.Unstructured, answered func(namespace, name string) bool) (out []Finding) {
	webhooks, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks") // its form is the API server's
	for _, w := range webhooks {
		of, ok := w.(map[string]any)
		if !ok {
			continue
		}
		name := fmt.Sprintf("%s/%s: webhook %v", configuration.GetKind(), configuration.GetName(), of["name"])
		if effects := of["sideEffects"]; effects != "None" && effects != "NoneOnDryRun" {
			out = append(out, found("webhooks", Warning, "%s has sideEffects %v, so the server refuses dry runs of what it looks at: set None or NoneOnDryRun", name, effects))
		}
		service, _, _ := unstructured.NestedStringMap(map[string]any{"service": serviceOf(of)}, "service")
		if of["failurePolicy"] == "Fail" && service["name"] != "" && !answered(service["namespace"], service["name"]) {
			out = append(out, found("webhooks", Warning, "%s has nobody behind Service/%s/%s, so what it looks at is refused: start it, or remove the configuration",
				name, service["namespace"], service["name"]))
		}
	}
	return out
}

// serviceOf is the namespace and name of a webhook's Service.
func serviceOf(webhook map[string]any) map[string]any {
	out := map[string]any{}
	for _, field := range []string{"namespace", "name"} {
		if value, ok, _ := unstructured.NestedString(webhook, "clientConfig", "service", field); ok {
			out[field] = value
		}
	}
	return out
}

// Worst is the worst state among findings.
func Worst(all []Finding) State {
	worst := Right
	for _, f := range all {
		if f.State == Problem || worst == Right {
			worst = f.State
		}
	}
	return worst
}
