package apply

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// admitters are the kinds by which somebody has a say in what is written
// (Kubernetes documentation, "Dynamic Admission Control", "Validating Admission
// Policy", "Mutating Admission Policy"), with where their rules are.
var admitters = []struct {
	kind  string
	rules func(obj map[string]any) (rules []any, ok bool)
}{
	{"ValidatingWebhookConfiguration", webhookRules},
	{"MutatingWebhookConfiguration", webhookRules},
	{"ValidatingAdmissionPolicy", policyRules},
	{"MutatingAdmissionPolicy", policyRules},
}

// admission are the rules of all of them. They are asked for as the engine: most
// accounts may not look.
func (p *planning) admission(ctx context.Context) (all admission, err error) {
	for _, a := range admitters {
		gk := schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: a.kind}
		m, err := p.admin().Mapper().RESTMapping(gk)
		if meta.IsNoMatchError(err) {
			continue // this server has none
		}
		if err != nil {
			return all, err
		}
		list, err := p.admin().Dynamic.Resource(m.Resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return all, err
		}
		for i := range list.Items {
			rules, ok := a.rules(list.Items[i].Object)
			all.rules, all.odd = append(all.rules, rules...), all.odd || !ok
		}
	}
	return all, nil
}

func webhookRules(obj map[string]any) (out []any, ok bool) {
	hooks, _, err := unstructured.NestedSlice(obj, "webhooks")
	if err != nil {
		return nil, false
	}
	for _, hook := range hooks {
		fields, _ := hook.(map[string]any)
		rules, ok := fields["rules"].([]any)
		if !ok && fields["rules"] != nil {
			return nil, false
		}
		out = append(out, rules...)
	}
	return out, true
}

func policyRules(obj map[string]any) ([]any, bool) {
	rules, found, err := unstructured.NestedSlice(obj, "spec", "matchConstraints", "resourceRules")
	return rules, found && err == nil // what has none may mean all
}

// concerns tells whether a rule may be about an operation on a resource's objects. A
// rule in a form that is not known is.
func concerns(rule any, resource schema.GroupVersionResource, operation string) bool {
	fields, ok := rule.(map[string]any)
	if !ok {
		return true
	}
	has := func(field string, values ...string) bool {
		list, ok := fields[field].([]any)
		return !ok || slices.ContainsFunc(list, func(item any) bool {
			text, ok := item.(string)
			return !ok || strings.HasPrefix(text, "*") || slices.Contains(values, text)
		})
	}
	return has("apiGroups", resource.Group) && has("resources", resource.Resource) && has("operations", operation)
}
