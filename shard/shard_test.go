package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestOf(t *testing.T) {
	t.Parallel()
	counts := make([]int, 8)
	for i := range 8000 {
		counts[Of(8, "Kustomization", "flux-system", fmt.Sprintf("app-%d", i))]++
	}
	for i, n := range counts {
		if n < 850 || n > 1150 {
			t.Errorf("shard %d has %d of 8000 objects, want about 1000", i, n)
		}
	}
	if Of(8, "a", "bc", "d") == Of(8, "ab", "c", "d") && Of(1000, "a", "bc", "d") == Of(1000, "ab", "c", "d") {
		t.Error("the parts of a name run together")
	}
}

// TestAssign: everybody has a fair share, the order of names does not matter, and
// when one goes, most shards stay where they are.
func TestAssign(t *testing.T) {
	t.Parallel()
	for members := 1; members <= 7; members++ {
		for _, count := range []int{1, 2, 5, 16, 64} {
			names := make([]string, members)
			for i := range names {
				names[i] = fmt.Sprintf("engine-%d", i)
			}
			owners := Assign(count, names)
			load := map[string]int{}
			for _, o := range owners {
				load[o]++
			}
			for name, n := range load {
				if most := (count + members - 1) / members; n > most || !slices.Contains(names, name) {
					t.Errorf("%d shards, %d members: %q has %d, at most %d are fair", count, members, name, n, most)
				}
			}
			shuffled := slices.Clone(names)
			rand.Shuffle(members, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			if !slices.Equal(owners, Assign(count, shuffled)) {
				t.Errorf("%d shards, %d members: it depends on the order of the names", count, members)
			}
		}
	}
	if got := Assign(2, nil); !slices.Equal(got, []string{"", ""}) {
		t.Errorf("without members: %q", got)
	}
	before, after, moved := Assign(64, []string{"a", "b", "c", "d"}), Assign(64, []string{"a", "b", "c"}), 0
	for i := range before {
		if before[i] != "d" && before[i] != after[i] {
			moved++
		}
	}
	if moved > 16 {
		t.Errorf("%d of 48 shards moved that had not to", moved)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	both := Assign(4, []string{"a", "b"})
	for name, tc := range map[string]struct {
		state       State
		take, leave []int
	}{
		"alone, nobody holds anything": {State{"a", []string{"a"}, []string{"", "", "", ""}}, []int{0, 1, 2, 3}, nil},
		"alone, one has died":          {State{"a", []string{"a"}, []string{"dead", "a", "dead", "a"}}, []int{0, 2}, nil},
		"the other one holds all":      {State{"b", []string{"a", "b"}, []string{"a", "a", "a", "a"}}, nil, nil},
		"somebody else has come":       {State{"a", []string{"a", "b"}, []string{"a", "a", "a", "a"}}, nil, of("b", both)},
		"what the other one left":      {State{"b", []string{"a", "b"}, without("b", both)}, of("b", both), nil},
		"as it should be":              {State{"a", []string{"a", "b"}, both}, nil, nil},
		"not a member itself":          {State{"c", []string{"a", "b"}, []string{"c", "", "", ""}}, nil, []int{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			take, leave := Next(tc.state)
			if !slices.Equal(take, tc.take) || !slices.Equal(leave, tc.leave) {
				t.Errorf("takes %v and leaves %v, want %v and %v", take, leave, tc.take, tc.leave)
			}
		})
	}
}

func of(member string, owners []string) (out []int) {
	for i, o := range owners {
		if o == member {
			out = append(out, i)
		}
	}
	return out
}

func without(member string, owners []string) []string {
	out := slices.Clone(owners)
	for i := range out {
		if out[i] == member {
			out[i] = ""
		}
	}
	return out
}

// TestNextComesToRest: whoever is there, wherever it starts, the members divide the
// shards among themselves, and none is ever held by two.
func TestNextComesToRest(t *testing.T) {
	t.Parallel()
	for range 200 {
		members := []string{"a", "b", "c"}[:1+rand.IntN(3)]
		holders := make([]string, 1+rand.IntN(20))
		for i := range holders {
			holders[i] = []string{"", "a", "b", "c", "dead"}[rand.IntN(5)]
		}
		for range 3 {
			for _, me := range members {
				take, leave := Next(State{me, members, holders})
				for _, i := range leave {
					holders[i] = ""
				}
				for _, i := range take {
					if slices.Contains(members, holders[i]) {
						t.Fatalf("%s takes shard %d from %s, who lives", me, i, holders[i])
					}
					holders[i] = me
				}
			}
		}
		if want := Assign(len(holders), members); !slices.Equal(holders, want) {
			t.Fatalf("members %v: held by %q, want %q", members, holders, want)
		}
	}
}
