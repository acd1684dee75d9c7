package bucket_test

import (
	"fmt"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/bucket"
)

// BenchmarkFetch measures a bucket of 10,000 objects: all of it, a look that finds
// nothing new, and a change of one object. downloads/op are counted at the server.
func BenchmarkFetch(b *testing.B) {
	server := start(b, testbucket.Options{})
	all := map[string]string{}
	for i := range 10_000 {
		all[fmt.Sprintf("apps/%03d/file-%05d.yaml", i%500, i)] = fmt.Sprintf("number: %d\ntext: %x\n", i, i*7919)
	}
	server.Put(b, name, all)
	fresh := func() *bucket.Client { return newClient(b, b.TempDir(), source.DefaultLimits()) } // it outlives a case
	client, s := fresh(), specOf(server)
	s.Region = "us-east-1"
	last, first := "", 0
	fetch := func() int {
		found, _, err := client.Fetch(b.Context(), s, last)
		if err != nil {
			b.Fatal(err)
		}
		last = found.Revision
		b.StopTimer()
		defer b.StartTimer()
		return len(server.Downloads())
	}
	b.Run("first", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			client, last = fresh(), ""
			server.Take()
			b.StartTimer()
			first = fetch()
			if first != len(all) {
				b.Errorf("%d downloads of %d objects", first, len(all))
			}
		}
		b.ReportMetric(float64(first), "downloads/op")
	})
	b.Run("unchanged", func(b *testing.B) { measure(b, 0, func(int) {}, fetch) })
	b.Run("one-object", func(b *testing.B) {
		measure(b, 1, func(i int) {
			server.Put(b, name, map[string]string{"apps/007/file-00007.yaml": fmt.Sprintf("number: %d of %d\n", i, b.N)})
		}, fetch)
	})
}

// measure fetches after each change and holds the downloads to what is wanted.
func measure(b *testing.B, want int, change func(i int), fetch func() int) {
	b.Helper()
	got := 0
	for i := range b.N {
		b.StopTimer()
		change(i)
		b.StartTimer()
		got += fetch()
	}
	b.ReportMetric(float64(got)/float64(b.N), "downloads/op")
	if got != want*b.N {
		b.Errorf("%d downloads in %d fetches, want %d each", got, b.N, want)
	}
}
