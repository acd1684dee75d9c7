package dag

import (
	"fmt"
	"slices"
	"strings"
)

// CycleError says that nodes wait for each other. It reads, for the cycle of a
// and b, "a -> b -> a".
type CycleError[K comparable] struct {
	Cycles [][]K // each as Cycle returns it
}

// Error implements error.
func (e *CycleError[K]) Error() string {
	texts := make([]string, len(e.Cycles))
	for i, cycle := range e.Cycles {
		texts[i] = Format(cycle)
	}
	return "dependency cycle: " + strings.Join(texts, ", ")
}

// Format writes a cycle as "a -> b -> a", and "" when there is none.
func Format[K comparable](cycle []K) string {
	if len(cycle) == 0 {
		return ""
	}
	var b strings.Builder
	for _, k := range cycle {
		fmt.Fprintf(&b, "%v -> ", k)
	}
	fmt.Fprint(&b, cycle[0])
	return b.String()
}

// Cycle returns the shortest cycle that node is part of, along the edges and
// beginning with its smallest node, so that its members all report the same
// words. It is nil when node is part of none, even if it waits for one. The cost is
// that of what node needs, however large the graph is.
func (g *Graph[K]) Cycle(node K) []K {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.cycle(g.needs, node)
}

func (g *Graph[K]) cycle(edges map[K][]K, node K) []K {
	from, closed := search(edges, node)
	if !closed {
		return nil
	}
	cycle := back(from, node)
	first := slices.Index(cycle, slices.MinFunc(cycle, g.compare))
	return slices.Concat(cycle[first:], cycle[:first])
}

// search walks breadth first from node until an edge leads back to it, and
// returns from where each node was reached first.
func search[K comparable](edges map[K][]K, node K) (from map[K]K, closed bool) {
	from = map[K]K{}
	for queue := []K{node}; len(queue) > 0; queue = queue[1:] {
		for _, d := range edges[queue[0]] {
			if _, seen := from[d]; seen {
				continue
			}
			from[d] = queue[0]
			if d == node {
				return from, true
			}
			queue = append(queue, d)
		}
	}
	return nil, false
}

// back follows from, which has a way from node to itself, and returns that way.
func back[K comparable](from map[K]K, node K) []K {
	cycle := []K{node}
	for k := from[node]; k != node; k = from[k] {
		cycle = append(cycle, k)
	}
	slices.Reverse(cycle[1:])
	return cycle
}
