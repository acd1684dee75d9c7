package dag_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/plumb-gitops/plumb/dag"
)

// parse reads "a:b,c d:" as a depends on b and c, d on nothing.
func parse(text string) *dag.Graph[string] {
	g := dag.New(cmp.Compare[string])
	for field := range strings.FieldsSeq(text) {
		node, deps, _ := strings.Cut(field, ":")
		g.Set(node, strings.FieldsFunc(deps, func(r rune) bool { return r == ',' })...)
	}
	return g
}

func doneOf(names string) func(string) bool {
	return func(k string) bool { return slices.Contains(strings.Fields(names), k) }
}

func TestCycle(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ graph, node, want string }{
		"no edges":                          {"a:", "a", ""},
		"unknown node":                      {"a:", "x", ""},
		"a chain has none":                  {"a:b b:c c:", "a", ""},
		"a node that depends on itself":     {"a:a", "a", "a -> a"},
		"two nodes":                         {"a:b b:a", "b", "a -> b -> a"},
		"begins with the smallest":          {"c:a a:b b:c", "c", "a -> b -> c -> a"},
		"same words on each member":         {"c:a a:b b:c", "b", "a -> b -> c -> a"},
		"a node that waits for a cycle":     {"x:a a:b b:a", "x", ""},
		"a node that a cycle waits for":     {"a:b,x b:a x:", "x", ""},
		"the shortest of several":           {"a:b,c b:a c:d d:a", "a", "a -> b -> a"},
		"the member of the longer has that": {"a:b,c b:a c:d d:a", "d", "a -> c -> d -> a"},
		"a diamond is none":                 {"a:b,c b:d c:d d:", "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := dag.Format(parse(tc.graph).Cycle(tc.node)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBlockedMissingDependants(t *testing.T) {
	t.Parallel()
	g := parse("app:infra,db,infra db:infra infra:")
	for name, tc := range map[string]struct {
		got  []string
		want string
	}{
		"blocked by all, sorted, once": {g.Blocked("app", doneOf("")), "[db infra]"},
		"blocked by the rest":          {g.Blocked("app", doneOf("infra")), "[db]"},
		"blocked by nothing":           {g.Blocked("app", doneOf("infra db")), "[]"},
		"unknown is not blocked":       {g.Blocked("x", doneOf("")), "[]"},
		"dependants, sorted":           {g.Dependants("infra"), "[app db]"},
		"nobody depends":               {g.Dependants("app"), "[]"},
		"nothing is missing":           {g.Missing("app"), "[]"},
		"missing":                      {parse("a:b,c b:").Missing("a"), "[c]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if fmt.Sprint(tc.got) != tc.want {
				t.Errorf("got %v, want %s", tc.got, tc.want)
			}
		})
	}
}

func TestSetReplacesEdges(t *testing.T) {
	t.Parallel()
	g := parse("a:b b:")
	g.Set("a", "c")
	if got := g.Dependants("b"); len(got) != 0 {
		t.Errorf("b still has dependants %v", got)
	}
	if got := g.Dependants("c"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("dependants of c: %v", got)
	}
}

func TestSetKeepsNoReferenceToItsArguments(t *testing.T) {
	t.Parallel()
	g := dag.New(cmp.Compare[string])
	deps := []string{"c", "b"}
	g.Set("a", deps...)
	if deps[0] != "c" {
		t.Error("the caller's slice was sorted")
	}
	deps[0] = "x"
	if got := g.Blocked("a", doneOf("")); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("got %v", got)
	}
}

func TestDeleteLeavesDependantsBlocked(t *testing.T) {
	t.Parallel()
	g := parse("a:b b:c c:")
	g.Delete("b")
	g.Delete("never there")
	if got := g.Dependants("c"); len(got) != 0 {
		t.Errorf("c still has dependants %v", got)
	}
	if got := g.Missing("a"); !slices.Equal(got, []string{"b"}) {
		t.Errorf("missing of a: %v", got)
	}
	if got := g.Dependants("b"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("dependants of what is missing: %v", got)
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ graph, node, done, want string }{
		"nothing":                       {"a:", "a", "", "[]"},
		"all done":                      {"a:b b:", "a", "b", "[]"},
		"a chain to its root":           {"a:b b:c c:", "a", "", "[[a b c]]"},
		"done ends are not shown":       {"a:b b:c c:", "a", "c", "[[a b]]"},
		"a missing dependency":          {"a:b b:x", "a", "", "[[a b x]]"},
		"several roots, nearest first":  {"a:b,d b:c c: d:", "a", "", "[[a d] [a b c]]"},
		"the shortest way to one root":  {"a:b,c b:c c:", "a", "", "[[a c]]"},
		"waits for a cycle":             {"a:b b:c c:b", "a", "", "[[a b]]"},
		"is in a cycle":                 {"a:b b:a", "a", "", "[[a b]]"},
		"waits for itself":              {"a:a", "a", "", "[[a a]]"},
		"a root is not hidden by cycle": {"a:b,d b:c c:b d:", "a", "", "[[a b] [a d]]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(parse(tc.graph).Why(tc.node, doneOf(tc.done))); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ graph, want, err string }{
		"empty":                  {"", "[]", ""},
		"independent ones":       {"b: a:", "[[a b]]", ""},
		"a chain":                {"a:b b:c c:", "[[c] [b] [a]]", ""},
		"as early as possible":   {"a:b,c b: c:d d:", "[[b d] [c] [a]]", ""},
		"missing ones hold none": {"a:x b:a", "[[a] [b]]", ""},
		"a cycle":                {"a:b b:a c:", "[]", "dependency cycle: a -> b -> a"},
		"two cycles":             {"a:b b:a c:c z:a", "[]", "dependency cycle: a -> b -> a, c -> c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layers, err := parse(tc.graph).Layers()
			if got := fmt.Sprint(layers); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if got := fmt.Sprint(err); (err != nil || tc.err != "") && got != tc.err {
				t.Errorf("got error %q, want %q", got, tc.err)
			}
		})
	}
}

func TestCallbacksMayUseTheGraph(t *testing.T) {
	t.Parallel()
	g := parse("a:b b:c c:")
	done := func(k string) bool { g.Set("seen", k); return false }
	g.Blocked("a", done)
	if got := fmt.Sprint(g.Why("a", done)); got != "[[a b c]]" {
		t.Errorf("got %s", got)
	}
}

// edges makes a graph of small random (or fuzzed) edges: pairs of bytes.
func edges(pairs []byte) (*dag.Graph[byte], map[byte][]byte) {
	deps := map[byte][]byte{}
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		from, to := pairs[0]%16, pairs[1]%16
		deps[from] = append(deps[from], to)
	}
	g := dag.New(cmp.Compare[byte])
	for from, to := range deps {
		g.Set(from, to...)
	}
	return g, deps
}

// reaches is the plainest way to tell whether edges lead from a to b.
func reaches(deps map[byte][]byte, a, b byte, seen map[byte]bool) bool {
	for _, d := range deps[a] {
		if d == b {
			return true
		}
		if !seen[d] {
			seen[d] = true
			if reaches(deps, d, b, seen) {
				return true
			}
		}
	}
	return false
}

// holds checks what is true of every graph.
func holds(t *testing.T, pairs []byte) {
	t.Helper()
	g, deps := edges(pairs)
	cyclic := false
	for node := range deps {
		cycle := g.Cycle(node)
		in := reaches(deps, node, node, map[byte]bool{})
		cyclic = cyclic || in
		if in != (cycle != nil) {
			t.Fatalf("%v: Cycle(%d) = %v, in a cycle: %v", deps, node, cycle, in)
		}
		checkCycle(t, deps, node, cycle)
		checkChains(t, deps, node, g.Why(node, func(byte) bool { return false }))
	}
	layers, err := g.Layers()
	var found *dag.CycleError[byte]
	if errors.As(err, &found) != cyclic {
		t.Fatalf("%v: cyclic %v, error %v", deps, cyclic, err)
	}
	if err == nil {
		checkLayers(t, deps, layers)
	}
}

func checkCycle(t *testing.T, deps map[byte][]byte, node byte, cycle []byte) {
	t.Helper()
	if cycle == nil {
		return
	}
	if !slices.Contains(cycle, node) || cycle[0] != slices.Min(cycle) {
		t.Fatalf("%v: cycle of %d is %v", deps, node, cycle)
	}
	for i, k := range cycle {
		if !slices.Contains(deps[k], cycle[(i+1)%len(cycle)]) {
			t.Fatalf("%v: no edge after %d in %v", deps, k, cycle)
		}
	}
}

func checkChains(t *testing.T, deps map[byte][]byte, node byte, chains [][]byte) {
	t.Helper()
	if len(chains) == 0 && len(deps[node]) > 0 {
		t.Fatalf("%v: %d waits but nothing says why", deps, node)
	}
	for _, chain := range chains {
		for i := range chain[1:] {
			if !slices.Contains(deps[chain[i]], chain[i+1]) {
				t.Fatalf("%v: no edge after %d in %v", deps, chain[i], chain)
			}
		}
	}
}

func checkLayers(t *testing.T, deps map[byte][]byte, layers [][]byte) {
	t.Helper()
	at := map[byte]int{}
	for i, layer := range layers {
		for _, k := range layer {
			at[k] = i
		}
	}
	if len(at) != len(deps) {
		t.Fatalf("%v: layers %v", deps, layers)
	}
	for k, ds := range deps {
		for _, d := range ds {
			if _, known := deps[d]; known && at[d] >= at[k] {
				t.Fatalf("%v: %d is not before %d in %v", deps, d, k, layers)
			}
		}
	}
}

func TestEveryGraph(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		pairs := make([]byte, r.IntN(40))
		for i := range pairs {
			pairs[i] = byte(r.Uint32())
		}
		holds(t, pairs)
	}
}

func FuzzGraph(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0})
	f.Add([]byte{0, 1, 1, 2, 2, 3})
	f.Fuzz(func(t *testing.T, pairs []byte) { holds(t, pairs) })
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	g := dag.New(cmp.Compare[int])
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				g.Set(j%10, (j+i)%10)
				g.Cycle(j % 10)
				g.Dependants(j % 10)
				g.Why(j%10, func(k int) bool { return k == i })
				g.Delete((j + 5) % 10)
				_, _ = g.Layers()
			}
		})
	}
	all.Wait()
	for i := range 10 {
		g.Delete(i)
	}
	if layers, err := g.Layers(); err != nil || !reflect.DeepEqual(layers, [][]int(nil)) {
		t.Errorf("layers %v, error %v", layers, err)
	}
}
