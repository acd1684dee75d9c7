package preview

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Change is what a revision does to one object.
type Change struct {
	Object string             `json:"object"`       // Kind/namespace/name
	Action string             `json:"action"`       // deleted, configured or created; run of a hook
	At     string             `json:"at,omitempty"` // what a hook runs at
	Fields []drift.Difference `json:"fields,omitempty"`
}

// Difference is what a revision does to one Kustomization or HelmRelease.
type Difference struct {
	Unit    string   `json:"kustomization,omitempty"` // namespace/name
	Release string   `json:"helmRelease,omitempty"`   // namespace/name
	Error   string   `json:"error,omitempty"`         // why the newer one cannot be built
	LeftOut string   `json:"leftOut,omitempty"`       // what was not looked at, and why
	Changes []Change `json:"changes,omitempty"`
	Hooks   []Change `json:"hooks,omitempty"` // what runs around a release, and is no part of it
}

// Title is the kind and name of what it is about.
func (d Difference) Title() (kind, name string) {
	if d.Release != "" {
		return helmv2.HelmReleaseKind, d.Release
	}
	return kustomizev1.KustomizationKind, d.Unit
}

// order is that in which changes are told: what takes something away first.
var order = map[string]int{"deleted": 0, "recreated": 1, "configured": 2, "created": 3}

// Sort sorts changes for people: deletions first.
func Sort(changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int { return rank(a.Action) - rank(b.Action) })
}

func rank(action string) int {
	if n, ok := order[action]; ok {
		return n
	}
	return len(order)
}

// Diff compares what two revisions build. Units without a difference are left out.
func Diff(before, after []Unit) []Difference {
	was, is := byID(before), byID(after)
	var out []Difference
	for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
		d := differenceOf(cmp.Or(is[name].Kind, was[name].Kind), cmp.Or(is[name].Name, was[name].Name))
		if err := is[name].Err; err != nil {
			d.Error = err.Error()
		} else {
			d.Changes = changes(was[name].Objects, is[name].Objects)
			d.Hooks = changes(was[name].Hooks, is[name].Hooks)
		}
		if d.Error != "" || len(d.Changes)+len(d.Hooks) > 0 {
			out = append(out, d)
		}
	}
	return out
}

func differenceOf(kind, name string) Difference {
	if kind == helmv2.HelmReleaseKind {
		return Difference{Release: name}
	}
	return Difference{Unit: name}
}

func changes(before, after []*unstructured.Unstructured) []Change {
	was, is := byKey(before), byKey(after)
	var out []Change
	for _, key := range slices.Sorted(maps.Keys(union(was, is))) {
		old, fresh := was[key], is[key]
		switch {
		case fresh == nil:
			out = append(out, Change{Object: key, Action: "deleted"})
		case old == nil:
			out = append(out, Change{Object: key, Action: "created"})
		default:
			if fields := drift.Differences(old, fresh, ""); len(fields) > 0 {
				out = append(out, Change{Object: key, Action: "configured", Fields: fields})
			}
		}
	}
	Sort(out)
	return out
}

func byID(units []Unit) map[string]Unit {
	out := map[string]Unit{}
	for _, u := range units {
		out[u.ID()] = u
	}
	return out
}

func byKey(objs []*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	out := map[string]*unstructured.Unstructured{}
	for _, obj := range objs {
		out[kube.KeyOf(obj).String()] = obj
	}
	return out
}

func union[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// dataOf is the content of a Secret's or ConfigMap's data.
func dataOf(kind string, data map[string]any, text map[string]string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, value := range data {
		content := fmt.Sprint(value)
		if kind == "Secret" {
			raw, err := base64.StdEncoding.DecodeString(content)
			if err != nil {
				return nil, fmt.Errorf("data.%s is not base64", name)
			}
			content = string(raw)
		}
		out[name] = []byte(content)
	}
	for name, value := range text {
		out[name] = []byte(value)
	}
	return out, nil
}
