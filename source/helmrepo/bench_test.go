package helmrepo_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/helmrepo"
)

const (
	indexBytes    = 50 << 20
	indexVersions = 10_000
)

// largeIndex is a server with an index of 50 MB: so many versions, of so many charts.
func largeIndex(b *testing.B, charts int) *testhelm.Server {
	b.Helper()
	return largeFile(b, func(out io.Writer) {
		fmt.Fprint(out, "apiVersion: v1\nentries:\n")
		line := "        - name: something\n          image: registry.example.com/team/something:1.2.3\n"
		filler := strings.Repeat(line, (indexBytes/indexVersions-250)/len(line))
		for i := range charts {
			fmt.Fprintf(out, "  app%d:\n", i)
			for v := range indexVersions / charts {
				fmt.Fprintf(out, "  - annotations:\n      images: |\n%s    apiVersion: v2\n    created: \"2026-01-01T00:00:00Z\"\n    digest: %064x\n    name: app%d\n    urls:\n    - charts/app%d-1.%d.0.tgz\n    version: 1.%d.0\n", filler, v, i, i, v, v)
			}
		}
		fmt.Fprint(out, "generated: \"2026-01-01T00:00:00Z\"\n")
	})
}

// largeFile is a server with what write writes. It reads it from disk, so that the
// heap is ours.
func largeFile(b *testing.B, write func(io.Writer)) *testhelm.Server {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "index.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	out := bufio.NewWriter(file)
	write(out)
	if err := errors.Join(out.Flush(), file.Close()); err != nil {
		b.Fatal(err)
	}
	server := testhelm.Start(b, testhelm.Options{})
	server.PutLarge("index.yaml", file.Name())
	return server
}

// largeJSON is the same of one chart in JSON, on a single line.
func largeJSON(b *testing.B) *testhelm.Server {
	b.Helper()
	return largeFile(b, func(out io.Writer) {
		fmt.Fprint(out, `{"apiVersion":"v1","entries":{"app0":[`)
		filler := strings.Repeat("name: something ", (indexBytes/indexVersions-200)/16)
		for v := range indexVersions {
			if v > 0 {
				fmt.Fprint(out, ",")
			}
			fmt.Fprintf(out, `{"annotations":{"images":%q},"digest":"%064x","urls":["charts/app0-1.%d.0.tgz"],"version":"1.%d.0"}`, filler, v, v, v)
		}
		fmt.Fprint(out, "]}}")
	})
}

// BenchmarkLargeIndex fetches an index of 50 MB with 10,000 versions and resolves in
// it. peak-MiB is the highest heap while that runs, kept-MiB what stays of it, both
// above what was there before.
func BenchmarkLargeIndex(b *testing.B) {
	for _, kind := range []struct {
		name   string
		charts int
		start  func(b *testing.B) *testhelm.Server
	}{
		{"1 chart", 1, func(b *testing.B) *testhelm.Server { b.Helper(); return largeIndex(b, 1) }},
		{"500 charts", 500, func(b *testing.B) *testhelm.Server { b.Helper(); return largeIndex(b, 500) }},
		{"1 chart in JSON", 1, largeJSON},
	} {
		b.Run(kind.name, func(b *testing.B) {
			server := kind.start(b)
			s := helmrepo.Spec{URL: server.URL}
			var peak, kept float64
			for b.Loop() {
				b.StopTimer()
				c := newClient(b, b.TempDir(), source.DefaultLimits())
				idle := heap(true)
				stop := watch()
				b.StartTimer()
				if _, _, err := c.Fetch(b.Context(), s, ""); err != nil {
					b.Fatal(err)
				}
				if v, err := c.Resolve(b.Context(), s, "app0", "*"); err != nil || v.Version != fmt.Sprintf("1.%d.0", indexVersions/kind.charts-1) {
					b.Fatal(v, err)
				}
				b.StopTimer()
				peak, kept = max(peak, stop()-idle), max(kept, heap(true)-idle)
				runtime.KeepAlive(c)
				b.StartTimer()
			}
			b.ReportMetric(peak, "peak-MiB")
			b.ReportMetric(kept, "kept-MiB")
			if peak > 64 || kept > 5 {
				b.Errorf("peak %.1f MiB, kept %.1f MiB: at most 64 and 5 are fine", peak, kept)
			}
		})
	}
}

// BenchmarkUnchangedIndex polls an index of 50 MB that stays the same.
func BenchmarkUnchangedIndex(b *testing.B) {
	server := largeIndex(b, 500)
	c, s := newClient(b, b.TempDir(), source.DefaultLimits()), helmrepo.Spec{URL: server.URL}
	for b.Loop() {
		if _, _, err := c.Fetch(b.Context(), s, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// heap is what is on the heap, in MiB.
func heap(collected bool) float64 {
	if collected {
		runtime.GC()
		runtime.GC() // what pools held goes with the second
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / (1 << 20)
}

// watch looks at the heap until it is stopped, and then tells the most it saw.
func watch() (stop func() float64) {
	done, most := make(chan struct{}), make(chan float64)
	go func() {
		tick, highest := time.NewTicker(time.Millisecond), 0.0
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, heap(false))
			case <-done:
				most <- max(highest, heap(false))
				return
			}
		}
	}()
	return func() float64 { close(done); return <-most }
}
