// Package dag orders units by what they depend on. It knows nothing of
// Kubernetes: a node is a name, an edge says that one node needs another.
package dag

import (
	"maps"
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
	return filter(needs, func(n K) bool { return !done(n) })
}

// Missing are the direct needs of a node that are no nodes, sorted.
func (g *Graph[K]) Missing(node K) []K {
	edges := g.snapshot()
	return g.Blocked(node, func(k K) bool { _, known := edges[k]; return known })
}

// snapshot is the graph as it is now. The lists are never changed in place.
func (g *Graph[K]) snapshot() map[K][]K {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return maps.Clone(g.needs)
}

func filter[K any](list []K, keep func(K) bool) []K {
	var out []K
	for _, k := range list {
		if keep(k) {
			out = append(out, k)
		}
	}
	return out
}
