package memory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
)

// Options are the settings of a watch.
type Options struct {
	// Threshold is how much of the limit may be in use, in percent.
	Threshold int
	// Interval is how often to look. The kernel tells of pressure by events that not
	// every container gets to see, so users of the toolkit set an interval, and so
	// does this: reading two small files is all that it costs.
	Interval time.Duration
}

// The defaults, which are those of the toolkit.
const (
	DefaultThreshold = 95
	DefaultInterval  = 500 * time.Millisecond
)

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	if o.Threshold < 1 || o.Threshold > 100 {
		return fmt.Errorf("a memory threshold of %d %%: want 1 to 100", o.Threshold)
	}
	if o.Interval <= 0 {
		return fmt.Errorf("a memory interval of %s: want more than nothing", o.Interval)
	}
	return nil
}

// Watch looks after the memory of the process.
type Watch struct {
	Options
	Group Group
	Gate  *Gate // held at the soft mark; may be nil
	Log   logr.Logger

	usage func() (int64, error) // for tests; that of the group
}

// Short says that the threshold was reached.
type Short struct{ Used, Limit int64 }

// Error implements error.
func (s *Short) Error() string {
	return fmt.Sprintf("memory is short: %d of %d MiB are in use; actions under way are ended and the process has to be started anew", s.Used>>20, s.Limit>>20)
}

// ErrUnreadable says that the watch cannot see the memory any more.
var ErrUnreadable = errors.New("the memory of this process cannot be read")

// hard is the threshold in bytes, and soft the mark before it, at nine tenths.
func (w *Watch) hard() int64 { return w.Group.Limit / 100 * int64(w.Threshold) }
func (w *Watch) soft() int64 { return w.hard() / 10 * 9 }

// LimitHeap has the garbage collector keep the heap below the soft mark, unless the
// environment says otherwise (GOMEMLIMIT).
func (w *Watch) LimitHeap() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(w.soft())
	}
}

// Run looks until ctx ends, or until the threshold is reached: then the error is
// *Short.
func (w *Watch) Run(ctx context.Context) error {
	usage := w.usage
	if usage == nil {
		usage = w.Group.Usage
	}
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()
	defer w.Gate.Hold(false)
	held := false
	for {
		used, err := usage()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		if used >= w.soft() && !held || used >= w.hard() { // what is garbage counts as used until it is given back
			debug.FreeOSMemory()
			if used, err = usage(); err != nil {
				return fmt.Errorf("%w: %w", ErrUnreadable, err)
			}
		}
		if used >= w.hard() {
			return &Short{Used: used, Limit: w.Group.Limit}
		}
		if now := used >= w.soft(); now != held {
			held = now
			w.Gate.Hold(held)
			w.Log.Info("memory", "usedBytes", used, "limitBytes", w.Group.Limit, "holdingWorkBack", held)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
