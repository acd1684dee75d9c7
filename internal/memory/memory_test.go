package memory

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
)

// The files of testdata are as kernels with either version of cgroups have them.
func TestFind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ limit, used int64 }{
		"v1":           {1 << 30, 512<<20 - 64<<20},
		"v1-container": {256 << 20, 100 << 20},
		"v2":           {512 << 20, 200<<20 - 40<<20},
		"v2-parent":    {128 << 20, 64 << 20},
		"none":         {},
		"broken":       {},
		"no such":      {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := Find(filepath.Join("testdata", name))
			if c.limit == 0 {
				if !errors.Is(err, ErrUnlimited) {
					t.Errorf("got %+v, %v", g, err)
				}
				return
			}
			if err != nil || g.Limit != c.limit {
				t.Fatalf("got %+v, %v", g, err)
			}
			if used, err := g.Usage(); err != nil || used != c.used {
				t.Errorf("%d are in use, %v, want %d", used, err, c.used)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for o, good := range map[Options]bool{
		{DefaultThreshold, DefaultInterval}: true,
		{100, time.Second}:                  true,
		{0, time.Second}:                    false,
		{101, time.Second}:                  false,
		{95, 0}:                             false,
	} {
		if err := o.Validate(); (err == nil) != good {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestWatch goes through the marks: from the soft one on new work waits, below it
// goes on, and at 95 % the watch ends.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		used := atomic.Int64{}
		gate := NewGate(100)
		w := &Watch{
			Options: Options{DefaultThreshold, DefaultInterval}, Group: Group{Limit: 1000}, Gate: gate, Log: logr.Discard(),
			usage: func() (int64, error) { return used.Load(), nil },
		}
		ended := make(chan error, 1)
		go func() { ended <- w.Run(t.Context()) }()
		admitted := func() bool {
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			release, err := gate.Admit(ctx, 1)
			if err == nil {
				release()
			}
			return err == nil
		}
		for _, step := range []struct {
			used int64
			want bool
		}{{854, true}, {855, false}, {949, false}, {800, true}, {900, false}} {
			used.Store(step.used)
			<-time.After(DefaultInterval) // by the clock of the bubble
			if got := admitted(); got != step.want {
				t.Errorf("at %d of 1000: admitted %v", step.used, got)
			}
		}
		used.Store(950)
		short := new(Short)
		if err := <-ended; !errors.As(err, &short) || short.Used != 950 {
			t.Errorf("got %v", err)
		}
		if !admitted() {
			t.Error("work is held back after the end")
		}
	})
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &Watch{Options: Options{DefaultThreshold, DefaultInterval}, Group: Group{Limit: 100}, Log: logr.Discard(), usage: func() (int64, error) { return 1, nil }}
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
	w.usage = func() (int64, error) { return 0, os.ErrNotExist }
	if err := w.Run(t.Context()); !errors.Is(err, ErrUnreadable) {
		t.Errorf("got %v", err)
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	g := NewGate(10)
	first, err := g.Admit(t.Context(), 6)
	if err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	refused := make(chan error, 1)
	go func() { _, err := g.Admit(ctx, 5); refused <- err }()
	cancel(stopped)
	if err := <-refused; !errors.Is(err, stopped) {
		t.Errorf("got %v", err)
	}
	large := make(chan func(), 1)
	go func() {
		release, err := g.Admit(t.Context(), 1<<40) // more than all: alone
		if err != nil {
			t.Error(err)
		}
		large <- release
	}()
	first()
	first() // twice is once
	release := <-large
	select {
	case <-large:
	default:
		release()
	}
	if done, err := (*Gate)(nil).Admit(t.Context(), 1); err != nil {
		t.Error(err)
	} else {
		done()
	}
}

// hungry is set in the process that eats memory.
const hungry = "PLUMB_TEST_HUNGRY"

// TestInARealCgroup runs this very program in a cgroup with a limit, where it takes
// more and more memory: the watch ends it before the kernel would.
func TestInARealCgroup(t *testing.T) {
	t.Parallel()
	if os.Getenv(hungry) != "" {
		eat(t)
		return
	}
	dir := limited(t, 128<<20)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$1" -test.run='^TestInARealCgroup$' -test.v`, dir, os.Args[0])
	cmd.Env = append(os.Environ(), hungry+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ended: memory is short: ") {
		t.Errorf("%v: %s", err, out)
	}
}

// limited makes a cgroup below our own with so much memory, of whichever version the
// machine has.
func limited(t *testing.T, limit int64) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		for _, h := range hierarchies {
			if parts[1] != h.controller {
				continue
			}
			dir, err := os.MkdirTemp(filepath.Join("/", h.mount, parts[2]), "plumb-test-")
			if err != nil {
				continue
			}
			t.Cleanup(func() { _ = os.Remove(dir) }) // empty by then
			if os.WriteFile(filepath.Join(dir, h.limit), []byte(strconv.FormatInt(limit, 10)), 0o600) == nil {
				return dir
			}
		}
	}
	t.Fatal("cannot make a cgroup with a limit: run the tests as root, on a machine with a memory controller")
	return ""
}

func eat(t *testing.T) {
	t.Helper()
	group, err := Find("/")
	if err != nil {
		t.Fatal(err)
	}
	if group.Limit != 128<<20 {
		t.Fatalf("the limit is %d", group.Limit)
	}
	w := &Watch{Options: Options{DefaultThreshold, time.Millisecond}, Group: group, Gate: NewGate(1 << 20), Log: logr.Discard()}
	w.LimitHeap()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	var meals [][]byte
	for {
		select {
		case err := <-ended:
			t.Logf("ended: %v, after %d meals", err, len(meals))
			return
		case <-time.After(time.Millisecond):
		}
		// The watch takes a while to look twice and to collect garbage, on a busy machine a
		// long one, in which the process must not get to the kernel's limit.
		if used, err := group.Usage(); err != nil {
			t.Fatal(err)
		} else if used >= w.hard() {
			continue
		}
		meal := make([]byte, 256<<10)
		for i := range meal {
			meal[i] = byte(i)
		}
		meals = append(meals, meal)
	}
}
