package charts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// packed is the archive of a chart with so many bytes of templates and a dependency.
func packed(t testing.TB, name string, templates int) []byte {
	t.Helper()
	line := "a{{ .Values.n }}: {{ .Release.Name | quote }}\n"
	sub := &chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "sub", Version: "1.0.0"}, Values: map[string]any{"on": true}}
	ch := &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: "v2", Name: name, Version: "1.0.0", Dependencies: []*chart.Dependency{{Name: "sub", Version: "1.0.0", Condition: "sub.enabled"}}},
		Values:    map[string]any{"n": 1, "sub": map[string]any{"enabled": false}, "list": []any{"x"}},
		Templates: []*chart.File{{Name: "templates/a.yaml", Data: []byte(strings.Repeat(line, 1+templates/len(line)))}},
	}
	ch.Raw = []*chart.File{{Name: "values.yaml", Data: []byte("n: 1\nsub: {enabled: false}\nlist: [x]\n")}}
	ch.AddDependency(sub)
	file, err := chartutil.Save(ch, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return read(t, file)
}

func opened(archive []byte, times *atomic.Int64) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		times.Add(1)
		return io.NopCloser(bytes.NewReader(archive)), nil
	}
}

func TestAChartIsParsedOnceAndShared(t *testing.T) {
	t.Parallel()
	c, times := New(1<<20), atomic.Int64{}
	archive := packed(t, "web", 1000)
	var group sync.WaitGroup
	var got [20]*Chart
	for i := range got {
		group.Go(func() {
			var err error
			if got[i], err = c.Load("sha256:a", opened(archive, &times)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, ch := range got {
		if ch != got[0] {
			t.Error("it is not shared")
		}
	}
	if times.Load() != 1 || got[0].Metadata().Name != "web" || c.Bytes() != got[0].Bytes {
		t.Errorf("opened %d times, %d bytes are kept of %d", times.Load(), c.Bytes(), got[0].Bytes)
	}
}

func TestWhatDoesNotFitIsKeptForWhoHasIt(t *testing.T) {
	t.Parallel()
	times := atomic.Int64{}
	archive := packed(t, "web", 10000)
	first, err := New(1<<20).Load("a", opened(archive, &times))
	if err != nil {
		t.Fatal(err)
	}
	c := New(first.Bytes * 3 / 2)
	load := func(digest string) *Chart {
		ch, err := c.Load(digest, opened(archive, &times))
		if err != nil {
			t.Fatal(err)
		}
		return ch
	}
	times.Store(0)
	held := load("a")
	load("b") // makes room
	if load("a") != held || times.Load() != 2 {
		t.Errorf("opened %d times", times.Load())
	}
	if c.Bytes() > first.Bytes*3/2 {
		t.Errorf("%d bytes are kept", c.Bytes())
	}
	runtime.KeepAlive(held)
	runtime.GC() // b is nobody's
	load("b")
	if times.Load() != 3 {
		t.Errorf("opened %d times", times.Load())
	}
}

func TestAFailureIsNotKept(t *testing.T) {
	t.Parallel()
	c, times, broken := New(1<<20), atomic.Int64{}, errors.New("broken")
	if _, err := c.Load("a", func() (io.ReadCloser, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Load("a", opened([]byte("no chart"), &times)); err == nil || !strings.HasPrefix(err.Error(), "chart a cannot be read") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Load("a", opened(packed(t, "web", 10), &times)); err != nil || times.Load() != 2 {
		t.Errorf("got %v", err)
	}
}

// What the SDK does with a copy leaves the shared chart as it is.
func TestCopy(t *testing.T) {
	t.Parallel()
	times := atomic.Int64{}
	ch, err := New(1<<20).Load("a", opened(packed(t, "web", 10), &times))
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(ch.Copy().Values, len(ch.Copy().Dependencies()), *ch.Copy().Metadata.Dependencies[0])
	mine := ch.Copy()
	if err := chartutil.ProcessDependenciesWithMerge(mine, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	mine.Values["list"].([]any)[0] = "y"
	if len(mine.Dependencies()) != 0 {
		t.Fatal("the dependency is not off")
	}
	if after := fmt.Sprint(ch.Copy().Values, len(ch.Copy().Dependencies()), *ch.Copy().Metadata.Dependencies[0]); after != before {
		t.Errorf("got  %s\nwant %s", after, before)
	}
	if !reflect.DeepEqual(ch.Copy().Templates, ch.parsed.Templates) {
		t.Error("templates differ")
	}
}

// TestEstimate renders charts and compares what that allocated at most with the
// estimate.
func TestEstimate(t *testing.T) {
	for _, templates := range []int{10 << 10, 1 << 20, 4 << 20} {
		times := atomic.Int64{}
		ch, err := New(1<<30).Load("a", opened(packed(t, "web", templates), &times))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		mine := ch.Copy()
		values, err := chartutil.ToRenderValues(mine, nil, chartutil.ReleaseOptions{Name: "web"}, chartutil.DefaultCapabilities)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.Render(mine, values); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		used := int64(after.TotalAlloc - before.TotalAlloc) // all of it counts, as if nothing were collected
		t.Logf("templates of %d KiB: rendering allocates %d KiB in all, the estimate is %d KiB", templates>>10, used>>10, ch.Estimate(0)>>10)
		if used > ch.Estimate(0) {
			t.Error("the estimate is too low")
		}
	}
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
