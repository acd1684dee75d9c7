package build

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/drone/envsubst"
	"github.com/drone/envsubst/parse"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Substitution replaces ${variables} in what was built, as the toolkit does
// (kustomize-controller, docs/spec/v1/kustomizations.md, "Post build variable
// substitution"): in the text of each object, so that a value may become a number
// or a list. $${name} stays as ${name}.
type Substitution struct {
	// Variables are the values by name; nil means that nothing is substituted.
	Variables map[string]string
	// Lenient takes a variable that is not there and has no default for an empty
	// one. Otherwise that is an error.
	Lenient bool
}

// substituteOff on an object, as a label or an annotation with the value
// "disabled", keeps it as it is.
const substituteOff = "kustomize.toolkit.fluxcd.io/substitute"

var variableName = regexp.MustCompile(`^[_[:alpha:]][_[:alpha:][:digit:]]*$`)

// check refuses names that no expression could use.
func (s Substitution) check() error {
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		if !variableName.MatchString(name) {
			return fmt.Errorf("the name of the variable %q has other characters than letters, digits and _, or begins with a digit: rename it where spec.postBuild takes it from", name)
		}
	}
	return nil
}

// object substitutes in one object. Errors lead with the object.
func (s Substitution) object(obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if s.Variables == nil || !holdsVariable(obj.Object) || kept(obj) {
		return obj, nil
	}
	text, err := yaml.Marshal(obj.Object)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", identify(obj), err)
	}
	out, err := s.text(string(text))
	if err != nil {
		return nil, s.located(obj, err)
	}
	docs := documents([]byte(out))
	if len(docs) != 1 {
		return nil, fmt.Errorf("%s: is no YAML any more with its variables substituted: a value ends the document", identify(obj))
	}
	node, err := docs[0].decode()
	if err != nil {
		return nil, fmt.Errorf("%s: is no YAML any more with its variables substituted: %w: put quotes into the value or around the variable", identify(obj), err)
	}
	replaced, err := object(node)
	if err != nil {
		return nil, fmt.Errorf("%s: with its variables substituted: %w", identify(obj), err)
	}
	return replaced, nil
}

func kept(obj *unstructured.Unstructured) bool {
	return obj.GetLabels()[substituteOff] == "disabled" || obj.GetAnnotations()[substituteOff] == "disabled"
}

// text substitutes in a text.
func (s Substitution) text(text string) (out string, err error) {
	defer func() {
		if recover() != nil { // a function with arguments out of range
			out, err = "", errors.New("an expression has arguments that its function can't take")
		}
	}()
	tree, err := parse.Parse(text)
	if err != nil {
		return "", fmt.Errorf("%w: see whether every ${ has its }, or write $${ for a literal one", err)
	}
	if err := s.complete(tree.Root); err != nil {
		return "", err
	}
	return envsubst.Eval(text, func(name string) string { return s.Variables[name] })
}

// undefined says that there is no value for a variable.
type undefined struct{ name string }

func (u *undefined) Error() string { return "the variable " + u.name + " is not defined" }

// defaults are the functions whose arguments stand in for a variable that is not
// there, or empty.
var defaults = map[string]bool{"=": true, ":=": true, ":-": true, ":+": true, ":?": true}

// complete tells whether all that a text uses is there.
func (s Substitution) complete(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			if err := s.complete(child); err != nil {
				return err
			}
		}
	case *parse.FuncNode:
		_, there := s.Variables[n.Param]
		if !there && !s.Lenient && (!defaults[n.Name] || len(n.Args) == 0) {
			return &undefined{n.Param}
		}
		for _, arg := range n.Args {
			if err := s.complete(arg); err != nil && s.Variables[n.Param] == "" {
				return err
			}
		}
	}
	return nil
}

// located says in which object and field an error is, and the way out.
func (s Substitution) located(obj *unstructured.Unstructured, err error) error {
	field := s.field(obj.Object, "")
	var absent *undefined
	if !errors.As(err, &absent) {
		return fmt.Errorf("%s: %s: %w", identify(obj), field, err)
	}
	hint := "define it in spec.postBuild, give it a default as in ${" + absent.name + ":=value}, or write $${" + absent.name + "} for the text itself"
	if near := s.nearest(absent.name); near != "" {
		hint = "did you mean " + near + "? Otherwise " + hint
	}
	return fmt.Errorf("%s: %s: %w: %s", identify(obj), field, err, hint)
}

// field is the path of the first text below value that cannot be substituted.
func (s Substitution) field(value any, path string) string {
	switch v := value.(type) {
	case string:
		if _, err := s.text(v); err != nil {
			return strings.TrimPrefix(path, ".")
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if at := s.field(v[name], path+"."+name); at != "" {
				return at
			}
			if at := s.field(name, path+"."+name); at != "" {
				return at
			}
		}
	case []any:
		for i, item := range v {
			if at := s.field(item, fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
	}
	return ""
}

// nearest is the defined variable that is written most like name, "" when none
// is alike.
func (s Substitution) nearest(name string) string {
	best, distance := "", len(name)/2+1
	for _, other := range slices.Sorted(maps.Keys(s.Variables)) {
		if d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(other), nil); d < distance {
			best, distance = other, d
		}
	}
	return best
}

// holdsVariable tells whether a $ is anywhere in a value, so that most objects
// are not turned into text and back.
func holdsVariable(value any) bool {
	switch v := value.(type) {
	case string:
		return strings.Contains(v, "$")
	case map[string]any:
		for name, child := range v {
			if strings.Contains(name, "$") || holdsVariable(child) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, holdsVariable)
	}
	return false
}
