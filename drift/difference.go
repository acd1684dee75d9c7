package drift

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Difference is one field that is not as we want it. Values are JSON, cut after
// the first few characters, and never those of a Secret.
type Difference struct {
	Path    string `json:"path"`    // as users write it, e.g. spec.template.spec.containers[web].image
	Manager string `json:"manager"` // the field manager that wrote it last, "" when nobody knows
	Before  string `json:"before"`  // on the cluster, "" when it is not there
	After   string `json:"after"`   // as we want it, "" when it has to go

	held bool
}

// Held tells whether another manager owns the field now, so that it is he who
// changed it, and not the source.
func (d Difference) Held() bool { return d.held }

// Hidden stands for a value that must not be shown.
const Hidden = "(hidden)"

// shownBytes is how much of a value a Difference keeps.
const shownBytes = 200

// String is "path (by manager)".
func (d Difference) String() string {
	if d.Manager == "" {
		return d.Path
	}
	return fmt.Sprintf("%s (by %s)", d.Path, d.Manager)
}

// Differences compares what is live with what would be there after our apply
// (the answer to a dry run), sorted by path. A field that is gone has no owner
// any more: it is put down to whoever wrote to the object last.
func Differences(live, wanted *unstructured.Unstructured, ours string) []Difference {
	c := comparison{others: others(live, ours), secret: wanted.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Secret"}}
	c.compare("", content(live), content(wanted), c.others)
	slices.SortFunc(c.out, func(a, b Difference) int { return cmp.Compare(a.Path, b.Path) })
	return c.out
}

// other is another manager's view of the place that a comparison is at.
type other struct {
	manager string
	fields  fields
}

// Changes are the paths, sorted, at which live is not as wanted says; what wanted
// does not say counts for nothing. A nil live has no changes.
func Changes(wanted, live *unstructured.Unstructured) []string {
	if live == nil {
		return nil
	}
	c := comparison{subset: true}
	c.compare("", content(live), content(wanted), nil)
	out := make([]string, len(c.out))
	for i, d := range c.out {
		out[i] = d.Path
	}
	slices.Sort(out)
	return out
}

type comparison struct {
	others []other // newest first
	secret bool
	subset bool // what is live only counts for nothing
	out    []Difference
}

// found adds a difference; a value that is not there is the text "".
func (c *comparison) found(path, before, after string, owners []other) {
	c.out = append(c.out, Difference{Path: path, Manager: c.author(owners), Before: c.shown(path, before), After: c.shown(path, after), held: len(owners) > 0})
}

// shown is as much of a value as may be shown. Of a Secret that is its metadata,
// but for the annotation in which kubectl repeats the whole object.
func (c *comparison) shown(path, value string) string {
	if value == "" {
		return ""
	}
	open := strings.HasPrefix(path, "metadata.") && !strings.Contains(path+value, corev1.LastAppliedConfigAnnotation)
	if c.secret && !open {
		return Hidden
	}
	if len(value) > shownBytes {
		return strings.ToValidUTF8(value[:shownBytes], "") + "…"
	}
	return value
}

func encoded(value any) string {
	text, _ := json.Marshal(value) // objects come from JSON, so they encode
	return string(text)
}

func (c *comparison) compare(path string, live, wanted any, owners []other) {
	liveMap, ok := live.(map[string]any)
	wantedMap, ok2 := wanted.(map[string]any)
	if ok && ok2 {
		c.compareMaps(path, liveMap, wantedMap, owners)
		return
	}
	liveList, ok := live.([]any)
	wantedList, ok2 := wanted.([]any)
	if ok && ok2 && len(liveList) == len(wantedList) {
		for i := range liveList {
			c.compare(fmt.Sprintf("%s[%s]", path, itemName(wantedList[i], i)), liveList[i], wantedList[i], below(owners, liveList[i]))
		}
		return
	}
	if !isValue(live, wanted) {
		c.found(path, encoded(live), encoded(wanted), owners)
	}
}

func (c *comparison) compareMaps(path string, live, wanted map[string]any, owners []other) {
	keys := maps.Clone(wanted)
	if !c.subset {
		maps.Copy(keys, live)
	}
	for key := range keys {
		l, isLive := live[key]
		w, isWanted := wanted[key]
		here := strings.TrimPrefix(path+"."+key, ".")
		children := field(owners, "f:"+key)
		switch {
		case isLive && isWanted:
			c.compare(here, l, w, children)
		case isLive:
			c.found(here, encoded(l), "", children)
		default:
			c.found(here, "", encoded(w), children)
		}
	}
}

func (c *comparison) author(owners []other) string {
	if len(owners) == 0 {
		owners = c.others
	}
	if len(owners) == 0 {
		return ""
	}
	return owners[0].manager
}

// others lists the managers that are not us, the one that wrote last first.
func others(live *unstructured.Unstructured, ours string) []other {
	entries := live.GetManagedFields()
	slices.SortStableFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		if a.Time == nil || b.Time == nil {
			return 0
		}
		return b.Time.Compare(a.Time.Time)
	})
	var out []other
	for _, e := range entries {
		if e.Manager != ours && e.Subresource == "" {
			out = append(out, other{e.Manager, parse(e)})
		}
	}
	return out
}

func field(owners []other, name string) []other {
	var out []other
	for _, o := range owners {
		if child, ok := o.fields[name]; ok {
			out = append(out, other{o.manager, child})
		}
	}
	return out
}

// below finds what the owners hold of one list item.
func below(owners []other, item any) []other {
	var out []other
	for _, o := range owners {
		for name, child := range o.fields {
			if kind, encoded, _ := strings.Cut(name, ":"); kind == "k" && hasKeys(item, decoded(encoded)) {
				out = append(out, other{o.manager, child})
			}
		}
	}
	return out
}

func decoded(encoded string) (value any) {
	_ = json.Unmarshal([]byte(encoded), &value) // an unreadable key matches nothing
	return value
}

func itemName(item any, index int) string {
	if m, ok := item.(map[string]any); ok {
		if name, ok := m["name"].(string); ok {
			return name
		}
	}
	return fmt.Sprint(index)
}
