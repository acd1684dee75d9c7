// Package values puts the values of a release together: what the objects in
// spec.valuesFrom hold, and spec.values over them. It reads nothing itself.
package values

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// Part is what one entry of spec.valuesFrom brings.
type Part struct {
	From    string // where it comes from, as Kind/namespace/name
	Key     string // the key in there
	Path    string // the one value that it sets, in the form of helm --set; "" for values at the root
	Literal bool   // it is no text to parse, as with helm --set-literal
	Secret  bool   // no word of it may be in an error
	Data    []byte
}

// Merge makes the values: the parts at the root in their order, then inline, the
// JSON of spec.values, then the parts with a path (helm-controller,
// docs/spec/v2/helmreleases.md, "Values references"). The result shares no memory
// with what was given. An error names the part.
func Merge(parts []Part, inline []byte) (map[string]any, error) {
	all := map[string]any{}
	for _, p := range parts {
		if p.Path != "" {
			continue
		}
		read, err := parse(p.Data)
		if err != nil {
			return nil, p.failed("is no YAML object", err)
		}
		all = over(all, read)
	}
	own, err := parse(inline)
	if err != nil {
		return nil, fmt.Errorf("spec.values: it is no object: %w", err)
	}
	all = over(all, own)
	for _, p := range parts {
		if p.Path == "" {
			continue
		}
		if err := p.set(all); err != nil {
			return nil, p.failed(fmt.Sprintf("cannot be set at %q", p.Path), err)
		}
	}
	return all, nil
}

func (p Part) failed(what string, err error) error {
	text := fmt.Sprintf("%s: what its key %s holds %s", p.From, p.Key, what)
	if p.Secret { // a parser quotes what it does not understand
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// parse reads YAML, or JSON, that has to be an object; nothing, and null, is an
// empty one.
func parse(data []byte) (map[string]any, error) {
	out := map[string]any{}
	if len(bytes.TrimSpace(data)) == 0 {
		return out, nil
	}
	err := yaml.Unmarshal(data, &out)
	return out, err
}

// over lays values over others. Objects are laid over each other, anything else
// takes the place of what was there.
func over(under, top map[string]any) map[string]any {
	for name, value := range top {
		below, belowIsObject := under[name].(map[string]any)
		if above, ok := value.(map[string]any); ok && belowIsObject {
			value = over(below, above)
		}
		under[name] = value
	}
	return under
}

// set sets the one value. Text in quotes stays text, as on the command line of
// helm.
func (p Part) set(all map[string]any) error {
	text := string(p.Data)
	switch {
	case p.Literal:
		return strvals.ParseLiteralInto(p.Path+"="+text, all)
	case quoted(text, `"`) || quoted(text, "'"):
		return strvals.ParseIntoString(p.Path+"="+strings.Trim(text, `'"`), all)
	default:
		return strvals.ParseInto(p.Path+"="+text, all)
	}
}

func quoted(text, mark string) bool {
	return len(text) > 1 && strings.HasPrefix(text, mark) && strings.HasSuffix(text, mark)
}
