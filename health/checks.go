package health

import (
	"cmp"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Expressions tell by CEL how healthy looks for one kind: an entry of
// spec.healthCheckExprs. Each field of the object at its top level is a
// variable; metadata, spec and status for example.
type Expressions struct {
	APIVersion string
	Kind       string // "" for all kinds of the group that have no expressions of their own
	InProgress string // true: on its way; optional, asked first
	Failed     string // true: will not get there; optional, asked second
	Current    string // true: as its spec says
}

// Checks are the health checks of one unit, compiled. They are immutable and
// safe for concurrent use; a nil *Checks has none.
type Checks struct {
	kinds  map[schema.GroupVersionKind]*check
	groups map[schema.GroupKind]*check // for other versions of those kinds; without a kind, for all of the group
}

type check struct{ inProgress, failed, current *expression }

// Compile compiles a list of expressions. The error holds every entry that is
// wrong, as healthCheckExprs[index].field.
func Compile(list []Expressions) (*Checks, error) {
	checks := &Checks{kinds: map[schema.GroupVersionKind]*check{}, groups: map[schema.GroupKind]*check{}}
	var errs []error
	for i, e := range list {
		compiled, err := e.compile()
		if err != nil {
			errs = append(errs, fmt.Errorf("healthCheckExprs[%d]%w", i, err))
			continue
		}
		gvk := schema.FromAPIVersionAndKind(e.APIVersion, e.Kind)
		if checks.kinds[gvk] == nil {
			checks.kinds[gvk] = compiled
		}
		if checks.groups[gvk.GroupKind()] == nil {
			checks.groups[gvk.GroupKind()] = compiled
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return checks, nil
}

func (e Expressions) compile() (*check, error) {
	if _, err := schema.ParseGroupVersion(e.APIVersion); err != nil || e.APIVersion == "" {
		return nil, fmt.Errorf(".apiVersion: %q is not of the form group/version", e.APIVersion)
	}
	if e.Current == "" {
		return nil, errors.New(".current is missing")
	}
	c := &check{}
	for _, part := range []struct {
		name, text string
		into       **expression
	}{{"inProgress", e.InProgress, &c.inProgress}, {"failed", e.Failed, &c.failed}, {"current", e.Current, &c.current}} {
		if part.text == "" {
			continue
		}
		compiled, err := compile(part.text, nil)
		if err != nil {
			return nil, fmt.Errorf(".%s of %s: %w", part.name, cmp.Or(e.Kind, e.APIVersion), err)
		}
		*part.into = compiled
	}
	return c, nil
}

// Empty tells whether there is no check, so that every verdict is Of's.
func (c *Checks) Empty() bool { return c == nil || len(c.kinds) == 0 }

// Covers tells whether objects of a kind are judged by expressions.
func (c *Checks) Covers(gvk schema.GroupVersionKind) bool { return c.of(gvk) != nil }

func (c *Checks) of(gvk schema.GroupVersionKind) *check {
	if c.Empty() {
		return nil
	}
	if exact := c.kinds[gvk]; exact != nil {
		return exact
	}
	if same := c.groups[gvk.GroupKind()]; same != nil {
		return same
	}
	return c.groups[schema.GroupKind{Group: gvk.Group}]
}

// Check judges an object by the expressions for its kind, or by Of when there
// are none. inProgress is asked before failed, and failed before current; the
// first that is true decides. An expression that fails, for the lack of a field
// mostly, leaves the object InProgress, with the failure as its message.
func (c *Checks) Check(obj *unstructured.Unstructured) Verdict {
	if obj == nil {
		return Of(nil)
	}
	custom := c.of(obj.GroupVersionKind())
	if custom == nil {
		return Of(obj)
	}
	if obj.GetDeletionTimestamp() != nil {
		return Verdict{Terminating, "Resource scheduled for deletion"}
	}
	if seen, ok, _ := unstructured.NestedInt64(obj.Object, "status", "observedGeneration"); ok && seen != obj.GetGeneration() {
		return Verdict{InProgress, texts["LatestGenerationNotObserved"]}
	}
	return custom.verdict(obj)
}

func (c *check) verdict(obj *unstructured.Unstructured) Verdict {
	for _, step := range []struct {
		name string
		*expression
		status Status
	}{{"inProgress", c.inProgress, InProgress}, {"failed", c.failed, Failed}, {"current", c.current, Current}} {
		if step.expression == nil {
			continue
		}
		yes, err := step.holds(obj.Object)
		if err != nil {
			return Verdict{InProgress, fmt.Sprintf("Health check expression %s: %v", step.name, err)}
		}
		if yes {
			return Verdict{step.status, said(obj, fmt.Sprintf("Health check expression %s is true", step.name))}
		}
	}
	return Verdict{InProgress, said(obj, "Health check expression current is not true yet")}
}

// said is what the object says of itself, for people; the expressions only say
// yes or no.
func said(obj *unstructured.Unstructured, otherwise string) string {
	if ready, ok := condition(obj, "Ready"); ok && ready.Message != "" {
		return ready.Message
	}
	return otherwise
}

// Readiness is a compiled dependsOn[].readyExpr. It is safe for concurrent use.
type Readiness struct{ expression *expression }

// CompileReadiness compiles a readyExpr, whose variables are self, the object
// that depends, and dep, the object on which it depends.
func CompileReadiness(text string) (*Readiness, error) {
	compiled, err := compile(text, []string{"self", "dep"})
	if err != nil {
		return nil, fmt.Errorf("readyExpr: %w", err)
	}
	return &Readiness{compiled}, nil
}

// Ready evaluates the expression on two objects in the form of their JSON. A
// field that is not there is an error: write has(…) to ask for it.
func (r *Readiness) Ready(self, dep map[string]any) (bool, error) {
	yes, err := r.expression.holds(map[string]any{"self": self, "dep": dep})
	if err != nil {
		return false, fmt.Errorf("readyExpr: %w", err)
	}
	return yes, nil
}
