package flags

import (
	"maps"
	"reflect"
)

// mergePatch is what a JSON merge patch (RFC 7386) makes of an object.
func mergePatch(object, patch map[string]any) map[string]any {
	out := maps.Clone(object)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range patch {
		inner, nested := value.(map[string]any)
		switch {
		case value == nil:
			delete(out, name)
		case nested:
			had, _ := out[name].(map[string]any)
			out[name] = mergePatch(had, inner)
		default:
			out[name] = value
		}
	}
	return out
}

// difference is the merge patch that makes one object of another.
func difference(from, to map[string]any) map[string]any {
	out := map[string]any{}
	for name := range from {
		if _, stays := to[name]; !stays {
			out[name] = nil
		}
	}
	for name, value := range to {
		had, same := from[name]
		if same && reflect.DeepEqual(had, value) {
			continue
		}
		inner, nested := value.(map[string]any)
		before, was := had.(map[string]any)
		if nested && was {
			out[name] = difference(before, inner)
			continue
		}
		out[name] = value
	}
	return out
}

// nested is a value inside an object, nil when it is not there.
func nested(object map[string]any, path ...string) any {
	var at any = object
	for _, name := range path {
		fields, _ := at.(map[string]any)
		at = fields[name]
	}
	return at
}
