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
	mu   sync.Mutex
	hits = map[string]int{}
)

// Hit ends the process with SIGKILL when PLUMB_KILL_AT names this step, as
// "step" for its first hit or "step:3" for its third. Nothing gets to run after
// it, no deferred call and no signal handler, as when the power goes.
func Hit(step string) {
	want, count, _ := strings.Cut(os.Getenv("PLUMB_KILL_AT"), ":")
	if want != step {
		return
	}
	nth, err := strconv.Atoi(count)
	if err != nil {
		nth = 1
	}
	mu.Lock()
	defer mu.Unlock()
	hits[step]++
	if hits[step] == nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing below may run
	}
}
