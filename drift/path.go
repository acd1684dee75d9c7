package drift

import (
	"fmt"
	"slices"
	"strings"
)

// Path leads to a field: keys of maps and, where the way goes through a list,
// the index of an item or each.
type Path []string

// each is a step to every item of a list. No JSON pointer has it: a pointer has
// no NUL.
const each = "\x00each"

// identity is what an object cannot be applied without.
var identity = []Path{{}, {"apiVersion"}, {"kind"}, {"metadata"}, {"metadata", "name"}, {"metadata", "namespace"}}

// ParsePath reads a JSON pointer (RFC 6901).
func ParsePath(pointer string) (Path, error) {
	rest, ok := strings.CutPrefix(pointer, "/")
	if !ok || strings.ContainsRune(pointer, 0) {
		return nil, fmt.Errorf("%q is not a JSON pointer: write it like /spec/replicas", pointer)
	}
	path := Path(strings.Split(rest, "/"))
	for i, step := range path {
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	if slices.ContainsFunc(identity, func(p Path) bool { return slices.Equal(p, path) }) {
		return nil, fmt.Errorf("%q is part of the object's identity and can't be ignored: name a field below spec, data or metadata/annotations", pointer)
	}
	return path, nil
}

// String is the JSON pointer, with * for every item of a list.
func (p Path) String() string {
	steps := make([]string, len(p))
	for i, step := range p {
		steps[i] = "*"
		if step != each {
			steps[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
		}
	}
	return "/" + strings.Join(steps, "/")
}
