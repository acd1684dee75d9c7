package engine

import (
	"fmt"
	"slices"
	"testing"
	"testing/quick"

	"k8s.io/apimachinery/pkg/types"
)

// TestSourceUses: whatever is noted and forgotten in whatever order, the users of a source
// are those whose uses have it, and nothing stays of users that have none.
func TestSourceUses(t *testing.T) {
	t.Parallel()
	user := func(n uint8) objectName {
		return objectName{"HelmChart", types.NamespacedName{Name: fmt.Sprint("user", n%4)}}
	}
	repo := func(n uint8) sourceName {
		return sourceName{Kind: "HelmRepository", NamespacedName: types.NamespacedName{Name: fmt.Sprint("repo", n%4)}}
	}
	holds := func(steps []struct {
		User, First, Second uint8
		Add                 bool
	}) bool {
		s, want := newSourceUses(), map[objectName][]sourceName{}
		for _, step := range steps {
			u, first, second := user(step.User), repo(step.First), repo(step.Second)
			switch {
			case step.Add:
				s.add(u, first)
				want[u] = append(want[u], first)
			case first == second:
				s.keep(u)
				delete(want, u)
			default:
				s.keep(u, first, second)
				want[u] = []sourceName{first, second}
			}
		}
		for r := range uint8(4) {
			users := s.of(repo(r))
			for u := range uint8(4) {
				if slices.Contains(users, user(u)) != slices.Contains(want[user(u)], repo(r)) {
					return false
				}
			}
		}
		return len(s.uses) == len(want)
	}
	if err := quick.Check(holds, nil); err != nil {
		t.Error(err)
	}
}
