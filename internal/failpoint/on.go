//go:build failpoint

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

var (
	mu    sync.Mutex
	hits  = map[string]int{}
	armed bool // the step behind which hits count was hit
)

// Hit ends the process with SIGKILL when PLUMB_KILL_AT names this step, as
// "step" for its first hit or "step:3" for its third. As "before>step:3" the hits
// count from the first one of another step on. Nothing gets to run after it, no
// deferred call and no signal handler, as when the power goes.
//
// With PLUMB_TRACE, the name of a file, each step is appended to that.
func Hit(step string) {
	mu.Lock()
	defer mu.Unlock()
	trace(step)
	kill := os.Getenv("PLUMB_KILL_AT")
	before, last, two := strings.Cut(kill, ">")
	if !two {
		last = kill
	}
	armed = armed || !two || step == before
	want, count, _ := strings.Cut(last, ":")
	if !armed || want != step {
		return
	}
	nth, err := strconv.Atoi(count)
	if err != nil {
		nth = 1
	}
	hits[step]++
	if hits[step] == nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing below may run
	}
}

func trace(step string) {
	name := os.Getenv("PLUMB_TRACE")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err) // the test that asked for it would see less than there is
	}
	defer f.Close()
	if _, err := f.WriteString(step + "\n"); err != nil {
		panic(err)
	}
}
