package flags

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Entry is what is said of one kustomization: its name, and a merge patch of it.
type Entry struct {
	Name  string
	Patch map[string]any
}

// part is what a word can say of a kustomization.
type part struct {
	field string
	read  func(string) (any, error)
}

// parts are by key, small and without hyphens and underscores: the same thing is
// spelt in many ways.
var parts = map[string]part{
	"name": {"name", text}, "path": {"path", text},
	"prune": {"prune", boolean}, "force": {"force", boolean},
	"timeout":  {"timeout", span},
	"interval": {"syncInterval", span}, "syncinterval": {"syncInterval", span}, "retryinterval": {"retryInterval", span},
	"depends": {"dependsOn", names}, "dependson": {"dependsOn", names}, "dependencies": {"dependsOn", names},
	"disablehealthcheck": {"wait", negated},
}

// keys are how the parts are called in messages.
const keys = "name, path, dependsOn, timeout, interval, retryInterval, prune, force, disableHealthCheck"

// Kustomization reads the words of one --kustomization, such as name=apps and
// prune=true. Each of them is checked, whichever of several it is.
func Kustomization(words []string) (Entry, error) {
	e := Entry{Patch: map[string]any{}}
	for _, word := range words {
		key, value, assigned := strings.Cut(word, "=")
		p, known := parts[strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))]
		if !assigned || !known {
			return e, fmt.Errorf("--kustomization %s: want words of the form KEY=VALUE, with one of the keys %s", word, keys)
		}
		if _, twice := e.Patch[p.field]; twice {
			return e, fmt.Errorf("--kustomization %s: %s is given twice", strings.Join(words, " "), key)
		}
		read, err := p.read(value)
		if err != nil {
			return e, fmt.Errorf("--kustomization %s: %w", word, err)
		}
		e.Patch[p.field] = read
	}
	e.Name, _ = e.Patch["name"].(string)
	if e.Name == "" {
		return e, fmt.Errorf("--kustomization %s: give a name, as in name=apps", strings.Join(words, " "))
	}
	if wrong := validation.IsDNS1123Subdomain(e.Name); len(wrong) > 0 || len(e.Name) > longestName {
		return e, fmt.Errorf("--kustomization name=%s: a name has small letters, digits, hyphens and dots, and at most %d of them", e.Name, longestName)
	}
	return e, nil
}

// longestName is what the name of a kustomization can have, so that with that of
// its configuration, of one character at least, and a hyphen it fits into a label.
const longestName = 61

func text(value string) (any, error) { return value, nil }

func boolean(value string) (any, error) {
	if !isTruth(value) {
		return nil, fmt.Errorf("%q: want true or false", value)
	}
	return strings.EqualFold(value, "true"), nil
}

func negated(value string) (any, error) {
	off, err := boolean(value)
	return off == false, err
}

// span reads a duration. All of the text counts: 500ms is half a second.
func span(value string) (any, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return nil, fmt.Errorf("%q: want a duration with its units, such as 10m or 1h30m", value)
	}
	return d.String(), nil
}

// names reads a list such as a,b or [a,b] or ["a","b"], also as a shell leaves it
// that knows no backslash.
func names(value string) (any, error) {
	inner := strings.TrimSpace(strings.ReplaceAll(value, `\`, ""))
	if strings.HasPrefix(inner, "[") != strings.HasSuffix(inner, "]") {
		return nil, fmt.Errorf("%q: a list has brackets on both sides, or none", value)
	}
	inner = strings.TrimSuffix(strings.TrimPrefix(inner, "["), "]")
	out := []any{}
	for name := range strings.SplitSeq(inner, ",") {
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if name != "" && !slices.Contains(out, any(name)) {
			out = append(out, name)
		}
	}
	return out, nil
}

// merged is a list of kustomizations with entries put into it: a part that is not
// given stays as it is, and what is new comes last.
func merged(list []any, entries []Entry) []any {
	out := slices.Clone(list)
	for _, e := range entries {
		i := at(out, e.Name)
		if i < 0 {
			out = append(out, maps.Clone(e.Patch))
			continue
		}
		changed := maps.Clone(out[i].(map[string]any)) //nolint:forcetypeassert // at has looked
		maps.Copy(changed, e.Patch)
		out[i] = changed
	}
	return out
}

// at is the place of a kustomization in a list, -1 when it has none.
func at(list []any, name string) int {
	return slices.IndexFunc(list, func(k any) bool {
		fields, ok := k.(map[string]any)
		return ok && fields["name"] == name
	})
}
