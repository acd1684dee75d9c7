package memory

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestConstants(t *testing.T) {
	t.Parallel()
	const maps = `00400000-03585000 r-xp 00000000 fd:00 131 /usr/bin/plumb one
03585000-06f00000 r--p 03185000 fd:00 131 /usr/bin/plumb one
06f00000-07000000 rw-p 06b00000 fd:00 131 /usr/bin/plumb one
07000000-07001000 r--p 00000000 fd:00 131 /usr/bin/plumb
c000000000-c004000000 rw-p 00000000 00:00 0
7ffd1000-7ffd3000 r-xp 00000000 00:00 0   [vdso]
`
	got := constants(strings.NewReader(maps), "/usr/bin/plumb one")
	if want := []mapping{{0x400000, 0x3585000}, {0x3585000, 0x6f00000}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestGiveBack: afterwards less of the program is in memory, and it still runs.
func TestGiveBack(t *testing.T) {
	before := fileBytes(t)
	GiveBack()
	if after := fileBytes(t); after >= before {
		t.Errorf("%d kB of files are mapped, %d before", after, before)
	}
}

func fileBytes(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var given atomic.Int32
		r := NewRest(time.Minute, func() { given.Add(1) })
		defer r.Stop()
		for _, step := range []struct {
			pause time.Duration
			work  bool
			want  int32
		}{
			{30 * time.Second, true, 0},  // still busy
			{59 * time.Second, false, 0}, // not yet
			{2 * time.Second, false, 1},  // the first rest
			{time.Hour, false, 1},        // nothing happened since
			{0, true, 1},
			{61 * time.Second, false, 2},
		} {
			<-time.After(step.pause) // of the bubble: no time passes
			synctest.Wait()
			if n := given.Load(); n != step.want {
				t.Fatalf("after %s: given back %d times, want %d", step.pause, n, step.want)
			}
			if step.work {
				r.Disturb()
			}
		}
	})
}
