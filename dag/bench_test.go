package dag

import (
	"cmp"
	"testing"
)

// BenchmarkCycle: what it costs to know that a node is in no cycle, in a graph of
// 10,000 others.
func BenchmarkCycle(b *testing.B) {
	g := New(cmp.Compare[int])
	for i := range 10_000 {
		g.Set(i)
	}
	g.Set(0, 1, 2, 3)
	b.ReportAllocs()
	for b.Loop() {
		if g.Cycle(0) != nil {
			b.Fatal("a cycle")
		}
	}
}
