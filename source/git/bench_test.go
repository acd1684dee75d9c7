package git

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testgit"
)

// BenchmarkFetch measures a repository of 50,000 files: a look that finds nothing
// new, a commit of one file, and what stays in memory afterwards.
func BenchmarkFetch(b *testing.B) {
	repo := testgit.New(b)
	files := map[string]string{}
	for i := range 50_000 {
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
	b.Run("first", func(b *testing.B) {
		for range b.N {
			if s, err = New(b.TempDir(), Options{}); err != nil {
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
		b.ReportMetric(float64(meter.Take().Bytes)/float64(b.N), "wire-B/op")
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
