// Package dag orders units by what they depend on. It knows nothing of
// Kubernetes: a node is a name, an edge says that one node needs another.
package dag

import (
	"slices"
	"sync"
)

// Graph is a set of nodes with their dependencies. An edge may point to a node
// that is not there (yet). It is safe for concurrent use.
type Graph[K comparable] struct {
	compare func(a, b K) int

	mu     sync.RWMutex
	needs  map[K][]K        // node -> what it needs, sorted
	usedBy map[K]map[K]bool // what is needed -> who needs it
}

// New makes an empty graph. compare orders nodes, so that every answer is sorted.
func New[K comparable](compare func(a, b K) int) *Graph[K] {
	return &Graph[K]{compare: compare, needs: map[K][]K{}, usedBy: map[K]map[K]bool{}}
}

// Set adds a node, or changes what it needs. It tells whether that is new.
func (g *Graph[K]) Set(node K, needs ...K) (changed bool) {
	needs = slices.Clone(needs)
	slices.SortFunc(needs, g.compare)
	needs = slices.Compact(needs)
	g.mu.Lock()
	defer g.mu.Unlock()
	old, known := g.needs[node]
	if known && slices.Equal(old, needs) {
		return false
	}
	g.unlinkLocked(node)
	g.needs[node] = needs
	for _, n := range needs {
		if g.usedBy[n] == nil {
			g.usedBy[n] = map[K]bool{}
		}
		g.usedBy[n][node] = true
	}
	return true
}

// Delete removes a node. Edges to it stay: whoever needs it now needs something
// that is not there.
func (g *Graph[K]) Delete(node K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unlinkLocked(node)
	delete(g.needs, node)
}

func (g *Graph[K]) unlinkLocked(node K) {
	for _, n := range g.needs[node] {
		delete(g.usedBy[n], node)
		if len(g.usedBy[n]) == 0 {
			delete(g.usedBy, n)
		}
	}
}

// Dependants are the nodes that need this one directly, sorted.
func (g *Graph[K]) Dependants(node K) []K {
	g.mu.RLock()
	defer g.mu.RUnlock()
	out := make([]K, 0, len(g.usedBy[node]))
	for n := range g.usedBy[node] {
		out = append(out, n)
	}
	slices.SortFunc(out, g.compare)
	return out
}

// Blocked are the direct needs of a node that are not done, sorted.
func (g *Graph[K]) Blocked(node K, done func(K) bool) []K {
	g.mu.RLock()
	needs := g.needs[node] // never changed in place
	g.mu.RUnlock()
	var out []K
	for _, n := range needs {
		if !done(n) {
			out = append(out, n)
		}
	}
	return out
}

// Why answers "what is this node waiting for": the chain of nodes that are not
// done, from its first blocked need down to one that nothing blocks. It stops
// where a cycle closes.
func (g *Graph[K]) Why(node K, done func(K) bool) []K {
	var chain []K
	seen := map[K]bool{node: true}
	for {
		blocked := g.Blocked(node, done)
		if len(blocked) == 0 || seen[blocked[0]] {
			return chain
		}
		node = blocked[0]
		seen[node] = true
		chain = append(chain, node)
	}
}

// Cycle is the shortest way from a node back to itself, beginning with the
// smallest of its members, so that every member reports the same. It is nil for
// a node that is on no cycle, even if it depends on one.
func (g *Graph[K]) Cycle(node K) []K {
	g.mu.RLock()
	defer g.mu.RUnlock()
	from := map[K]K{}
	queue := []K{node}
	for len(queue) > 0 {
		current := queue[0]
		queue = queue[1:]
		for _, next := range g.needs[current] {
			if next == node {
				return g.rotated(g.pathLocked(from, node, current))
			}
			if _, seen := from[next]; !seen {
				from[next] = current
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func (g *Graph[K]) pathLocked(from map[K]K, start, end K) []K {
	path := []K{end}
	for path[len(path)-1] != start {
		path = append(path, from[path[len(path)-1]])
	}
	slices.Reverse(path)
	return path
}

func (g *Graph[K]) rotated(cycle []K) []K {
	first := 0
	for i := range cycle {
		if g.compare(cycle[i], cycle[first]) < 0 {
			first = i
		}
	}
	return append(slices.Clone(cycle[first:]), cycle[:first]...)
}
