package apply

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/drift"
)

// contested tells whether other managers own fields, with other values, that we
// are about to set.
func contested(err error) bool {
	return apierrors.IsConflict(err) && apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict)
}

// owner is how the server names the manager in a conflict
// (structured-merge-diff, merge.Conflict).
var owner = regexp.MustCompile(`conflict with "([^"]*)"`)

// itemKey is how the server names a list item by one key.
var itemKey = regexp.MustCompile(`\[\w+="([^"]*)"\]`)

// conflicts are the fields of a conflict with the managers that own them, sorted.
func conflicts(err error) []drift.Difference {
	var out []drift.Difference
	for _, cause := range causes(err) {
		if cause.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		d := drift.Difference{Path: itemKey.ReplaceAllString(strings.TrimPrefix(cause.Field, "."), "[$1]")}
		if found := owner.FindStringSubmatch(cause.Message); found != nil {
			d.Manager = found[1]
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b drift.Difference) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Manager, b.Manager))
	})
	return slices.Compact(out)
}

// takeover is a sentence about fields that become ours, "" for none.
func takeover(taken []drift.Difference) string {
	if len(taken) == 0 {
		return ""
	}
	byManager := map[string][]string{}
	var managers []string
	for _, d := range taken {
		if byManager[d.Manager] == nil {
			managers = append(managers, d.Manager)
		}
		byManager[d.Manager] = append(byManager[d.Manager], d.Path)
	}
	slices.Sort(managers)
	parts := make([]string, len(managers))
	for i, manager := range managers {
		parts[i] = strings.Join(byManager[manager], ", ") + " from " + manager
	}
	return "takes over " + strings.Join(parts, "; ")
}
