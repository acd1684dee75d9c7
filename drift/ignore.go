package drift

import (
	"errors"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// IgnoreRule is an entry of spec.ignore: fields of some objects that are left
// alone once the object exists.
type IgnoreRule struct {
	Paths  []string  // JSON pointers
	Target *Selector // nil for every object
}

// Selector selects objects, as that of a patch does: the first five are regular
// expressions for the whole value, the last two are label selectors. What is
// empty selects everything.
type Selector struct {
	Group              string
	Version            string
	Kind               string
	Namespace          string
	Name               string
	AnnotationSelector string
	LabelSelector      string
}

// Ignores are the ignore rules of one unit, compiled. They are immutable; a nil
// *Ignores ignores nothing.
type Ignores struct{ rules []ignoring }

type ignoring struct {
	paths       []Path
	selects     []func(*unstructured.Unstructured) bool
	annotations labels.Selector
	labels      labels.Selector
}

// CompileIgnores compiles rules. The error holds all that is wrong, as
// ignore[index].field.
func CompileIgnores(rules []IgnoreRule) (*Ignores, error) {
	out := &Ignores{}
	var errs []error
	for i, rule := range rules {
		compiled, err := rule.compile()
		if err != nil {
			errs = append(errs, fmt.Errorf("ignore[%d].%w", i, err))
			continue
		}
		out.rules = append(out.rules, compiled)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return out, nil
}

func (r IgnoreRule) compile() (ignoring, error) {
	compiled := ignoring{annotations: labels.Everything(), labels: labels.Everything()}
	for i, pointer := range r.Paths {
		path, err := ParsePath(pointer)
		if err != nil {
			return ignoring{}, fmt.Errorf("paths[%d]: %w", i, err)
		}
		compiled.paths = append(compiled.paths, path)
	}
	if r.Target == nil {
		return compiled, nil
	}
	return compiled, compiled.target(*r.Target)
}

func (c *ignoring) target(s Selector) error {
	for _, part := range []struct {
		field, pattern string
		value          func(*unstructured.Unstructured) string
	}{
		{"group", s.Group, func(o *unstructured.Unstructured) string { return o.GroupVersionKind().Group }},
		{"version", s.Version, func(o *unstructured.Unstructured) string { return o.GroupVersionKind().Version }},
		{"kind", s.Kind, (*unstructured.Unstructured).GetKind},
		{"namespace", s.Namespace, (*unstructured.Unstructured).GetNamespace},
		{"name", s.Name, (*unstructured.Unstructured).GetName},
	} {
		if part.pattern == "" {
			continue
		}
		whole, err := regexp.Compile("^(?:" + part.pattern + ")$")
		if err != nil {
			return fmt.Errorf("target.%s: %q is not a regular expression: %w", part.field, part.pattern, err)
		}
		c.selects = append(c.selects, func(o *unstructured.Unstructured) bool { return whole.MatchString(part.value(o)) })
	}
	var err error
	if c.annotations, err = labels.Parse(s.AnnotationSelector); err != nil {
		return fmt.Errorf("target.annotationSelector: %w", err)
	}
	if c.labels, err = labels.Parse(s.LabelSelector); err != nil {
		return fmt.Errorf("target.labelSelector: %w", err)
	}
	return nil
}

// Paths are the fields of the object, as the source has it, that are ignored.
func (i *Ignores) Paths(obj *unstructured.Unstructured) []Path {
	if i == nil {
		return nil
	}
	var out []Path
	for _, rule := range i.rules {
		if rule.matches(obj) {
			out = append(out, rule.paths...)
		}
	}
	return out
}

func (c *ignoring) matches(obj *unstructured.Unstructured) bool {
	for _, selected := range c.selects {
		if !selected(obj) {
			return false
		}
	}
	return c.annotations.Matches(labels.Set(obj.GetAnnotations())) && c.labels.Matches(labels.Set(obj.GetLabels()))
}
