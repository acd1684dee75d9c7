package git

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testgit"
)

// BenchmarkFetch measures a repository of 100,000 files: a look that finds nothing
// new, a commit of one file, and what stays in memory afterwards.
func BenchmarkFetch(b *testing.B) {
	repo := testgit.New(b)
	files := map[string]string{}
	for i := range 100_000 {
		files[fmt.Sprintf("apps/%03d/file-%05d.yaml", i%500, i)] = fmt.Sprintf("number: %d\ntext: %x\n", i, i*7919)
	}
	repo.Commit(testgit.Files(files)...)
	clear(files)
	url, meter := repo.HTTP(testgit.Options{})
	s, err := New(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	fetch := func() {
		snapshot, _, err := s.Fetch(b.Context(), onMain(url), "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := snapshot.Tree.Read("apps/007/file-00007.yaml"); err != nil {
			b.Fatal(err)
		}
	}
	before := heap()
	folders := b // those of "first" would go with it, and the last one is used further on
	b.Run("first", func(b *testing.B) {
		for range b.N {
			if s, err = New(folders.TempDir(), Options{}); err != nil {
				b.Fatal(err)
			}
			fetch()
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		meter.Take()
		for range b.N {
			fetch()
		}
		wire := float64(meter.Take().Bytes) / float64(b.N)
		b.ReportMetric(wire, "wire-B/op")
		if wire >= 20_000 {
			b.Errorf("a look that finds nothing new costs %.0f bytes on the wire: want under 20,000", wire)
		}
	})
	b.Run("one-file", func(b *testing.B) {
		var bytes int64
		for i := range b.N {
			b.StopTimer()
			repo.Commit(testgit.File("apps/007/file-00007.yaml", fmt.Sprint(i, b.N)))
			meter.Take()
			b.StartTimer()
			fetch()
			bytes += meter.Take().Bytes
		}
		b.ReportMetric(float64(bytes)/float64(b.N), "wire-B/op")
		b.ReportMetric((heap()-before)/(1<<20), "MiB-kept")
	})
	runtime.KeepAlive(s)
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
