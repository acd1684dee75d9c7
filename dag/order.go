package dag

import (
	"maps"
	"slices"
)

// Layers returns all nodes, each in a later layer than everything it depends on
// and as early as that allows; a layer is sorted. Missing dependencies hold
// nothing back. With a cycle there is no such order: the error is then a
// *CycleError with a cycle of each group of nodes that wait for each other.
func (g *Graph[K]) Layers() ([][]K, error) {
	edges := g.snapshot()
	todo := slices.SortedFunc(maps.Keys(edges), g.compare)
	placed := make(map[K]bool, len(edges))
	free := func(k K) bool {
		return !slices.ContainsFunc(edges[k], func(d K) bool { _, known := edges[d]; return known && !placed[d] })
	}
	var layers [][]K
	for len(todo) > 0 {
		layer := filter(todo, free)
		if len(layer) == 0 {
			return nil, &CycleError[K]{Cycles: g.cycles(edges, todo)}
		}
		for _, k := range layer {
			placed[k] = true
		}
		layers = append(layers, layer)
		todo = filter(todo, func(k K) bool { return !placed[k] })
	}
	return layers, nil
}

// cycles returns one cycle per node of nodes, without those that share a node
// with one that is already there.
func (g *Graph[K]) cycles(edges map[K][]K, nodes []K) [][]K {
	var cycles [][]K
	told := map[K]bool{}
	for _, node := range nodes {
		if told[node] {
			continue
		}
		cycle := g.cycle(edges, node)
		if cycle == nil || slices.ContainsFunc(cycle, func(k K) bool { return told[k] }) {
			continue
		}
		for _, k := range cycle {
			told[k] = true
		}
		cycles = append(cycles, cycle)
	}
	return cycles
}

// Why tells what node is waiting for in the end: a chain per node that is not
// done although it waits for nothing else, or that is in a cycle. Each chain is
// the shortest way there, beginning with node; shorter chains come first. It is
// nil when nothing blocks node.
func (g *Graph[K]) Why(node K, done func(K) bool) [][]K {
	edges := g.snapshot()
	seen := map[K]bool{node: true}
	var chains [][]K
	for queue := [][]K{{node}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		last := chain[len(chain)-1]
		blocked := filter(edges[last], func(d K) bool { return !done(d) })
		if len(chain) > 1 && (len(blocked) == 0 || g.cycle(edges, last) != nil) {
			chains = append(chains, chain)
			continue
		}
		for _, d := range blocked {
			if d == node && len(chain) == 1 { // a node that waits for itself
				chains = append(chains, []K{node, node})
			}
			if !seen[d] {
				seen[d] = true
				queue = append(queue, append(slices.Clone(chain), d))
			}
		}
	}
	return chains
}
