package drift

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rule is one entry of the library of what well-known controllers write. A field
// that the source sets is left to its writer while the rule is on; docs/drift.md
// lists the rules for users.
type Rule struct {
	Name   string
	What   string // what is left to whom, for people
	paths  []Path
	kinds  []schema.GroupKind // none: every kind
	writer Writer
	// kept: the field is a person's, and stays when those of kubectl become ours.
	kept bool
}

// HPAReplicas is the rule that holds only while there is an autoscaler, which
// the object itself does not tell.
const HPAReplicas = "hpa-replicas"

var (
	workloadKinds = []schema.GroupKind{{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "StatefulSet"}, {Group: "apps", Kind: "DaemonSet"}}
	webhookKinds  = []schema.GroupKind{
		{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"},
		{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"},
	}
)

// library are the rules, sorted by name.
var library = []Rule{
	{Name: "aggregated-roles", What: "rules of a ClusterRole with an aggregationRule, to the controller that aggregates them",
		paths: []Path{{"rules"}}, kinds: []schema.GroupKind{{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}},
		writer: named("clusterrole-aggregation-controller")},
	{Name: "apiservice-ca-bundle", What: "spec.caBundle of an APIService, to any controller that writes it",
		paths: []Path{{"spec", "caBundle"}}, kinds: []schema.GroupKind{{Group: "apiregistration.k8s.io", Kind: "APIService"}}, writer: controller},
	{Name: "crd-conversion-ca-bundle", What: "caBundle of a CustomResourceDefinition's conversion webhook, to any controller that writes it",
		paths: []Path{{"spec", "conversion", "webhook", "clientConfig", "caBundle"}},
		kinds: []schema.GroupKind{{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}}, writer: controller},
	{Name: HPAReplicas, What: "spec.replicas of whatever a HorizontalPodAutoscaler targets, to it",
		paths: []Path{{"spec", "replicas"}}, writer: scaler},
	{Name: "kueue-suspend", What: "spec.suspend of a Job, to Kueue",
		paths: []Path{{"spec", "suspend"}}, kinds: []schema.GroupKind{{Group: "batch", Kind: "Job"}}, writer: named("kueue")},
	{Name: "rollout-restart", What: "the annotation that kubectl rollout restart sets on the pods of a Deployment, StatefulSet or DaemonSet",
		paths: []Path{{"spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"}}, kinds: workloadKinds,
		writer: func(metav1.ManagedFieldsEntry) bool { return false }, kept: true},
	{Name: "vpa-resources", What: "resources of containers, to the vertical pod autoscaler and to in-place resizes",
		paths:  []Path{{"spec", "template", "spec", "containers", each, "resources"}, {"spec", "containers", each, "resources"}},
		kinds:  append([]schema.GroupKind{{Kind: "Pod"}}, workloadKinds...),
		writer: resizer},
	{Name: "webhook-ca-bundle", What: "caBundle of webhooks, to any controller that writes it, such as cert-manager",
		paths: []Path{{"webhooks", each, "clientConfig", "caBundle"}}, kinds: webhookKinds, writer: controller},
}

func byKubectl(e metav1.ManagedFieldsEntry) bool { return strings.Contains(e.Manager, "kubectl") }

// controller is any writer but a person with kubectl.
func controller(e metav1.ManagedFieldsEntry) bool {
	return !byKubectl(e) && e.Subresource == ""
}

// scaler writes through the scale subresource, as autoscalers do.
func scaler(e metav1.ManagedFieldsEntry) bool { return e.Subresource == "scale" && !byKubectl(e) }

func resizer(e metav1.ManagedFieldsEntry) bool {
	if byKubectl(e) {
		return false
	}
	return e.Subresource == "resize" || strings.Contains(e.Manager, "vpa") || strings.Contains(e.Manager, "vertical-pod-autoscaler")
}

func named(name string) Writer {
	return func(e metav1.ManagedFieldsEntry) bool { return strings.Contains(e.Manager, name) }
}

// Library lists the rules, sorted by name.
func Library() []Rule { return slices.Clone(library) }

// Rules are the rules that are on. The zero value has all of them.
type Rules struct{ off map[string]bool }

// ParseRules reads a list of rules, as --drift-rules has it: all are on but
// those named with a minus; after "none" only those named. The error names what
// there is.
func ParseRules(text string) (Rules, error) {
	r := Rules{off: map[string]bool{}}
	for word := range strings.SplitSeq(text, ",") {
		name, off := strings.CutPrefix(strings.TrimSpace(word), "-")
		switch {
		case name == "" && !off:
		case name == "none" && !off:
			for _, rule := range library {
				r.off[rule.Name] = true
			}
		case slices.Contains(names(), name):
			r.off[name] = off
		default:
			return Rules{}, fmt.Errorf("there is no drift rule %q: the rules are %s; -NAME turns one off, none turns all off", strings.TrimSpace(word), strings.Join(names(), ", "))
		}
	}
	return r, nil
}

func names() []string {
	out := make([]string, len(library))
	for i, rule := range library {
		out[i] = rule.Name
	}
	return out
}

// Without is the rules without one of them.
func (r Rules) Without(name string) Rules {
	off := map[string]bool{name: true}
	for other, isOff := range r.off {
		off[other] = off[other] || isOff
	}
	return Rules{off: off}
}

func (r Rules) of(gk schema.GroupKind) []Rule {
	var out []Rule
	for _, rule := range library {
		if !r.off[rule.Name] && (rule.kinds == nil || slices.Contains(rule.kinds, gk)) {
			out = append(out, rule)
		}
	}
	return out
}

// Held is which of a live object's fields the rules leave to their writers,
// among those that wanted sets: the names of the rules that apply, and wanted
// without the fields. ours is our field manager.
func (r Rules) Held(wanted, live *unstructured.Unstructured, ours string) (by []string, out *unstructured.Unstructured) {
	out = wanted
	for _, rule := range r.of(wanted.GroupVersionKind().GroupKind()) {
		writer := func(e metav1.ManagedFieldsEntry) bool { return e.Manager != ours && rule.writer(e) }
		for _, path := range rule.paths {
			if Sets(out, []Path{path}) && owns(live, path, writer) {
				by, out = append(by, rule.Name), Leave(out, live, []Path{path}, writer)
			}
		}
	}
	return by, out
}

// owns tells whether one of the writers owns the field, anywhere that the path
// leads.
func owns(live *unstructured.Unstructured, path Path, writer Writer) bool {
	return slices.ContainsFunc(managers(live, writer), func(f fields) bool { return reaches(f, path) })
}

func reaches(f fields, path Path) bool {
	if len(path) == 0 || len(f) == 0 {
		return true
	}
	for name, child := range f {
		kind, rest, _ := strings.Cut(name, ":")
		if (kind == "f" && rest == path[0] || kind == "k" && path[0] == each) && reaches(child, path[1:]) {
			return true
		}
	}
	return false
}

// Kept are the fields of a kind that stay as they are when those of kubectl are
// taken over.
func (r Rules) Kept(gk schema.GroupKind) []Path {
	var out []Path
	for _, rule := range r.of(gk) {
		if rule.kept {
			out = append(out, rule.paths...)
		}
	}
	return out
}
