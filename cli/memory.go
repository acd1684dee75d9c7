package cli

import (
	"context"
	"errors"
	"os"
	"runtime/debug"

	"github.com/go-logr/logr"

	"github.com/plumb-gitops/plumb/internal/memory"
	"github.com/plumb-gitops/plumb/settings"
)

// memoryFlags are the settings helm-controller.outOfMemoryWatch.enabled,
// memoryThreshold and interval.
type memoryFlags struct {
	memory.Options
	watch bool
}

// memoryFrom is what the settings say of memory.
func memoryFrom(w settings.MemoryWatch) memoryFlags {
	return memoryFlags{Options: memory.Options{Threshold: w.Threshold, Interval: w.Interval}, watch: w.Enabled}
}

// heavyBytes is how much heavy work may need at once where nothing limits the
// process; else it is a quarter of the limit.
const heavyBytes = 512 << 20

// garbage is how much of it the heap may hold beside what is in use, in percent: half
// of what Go allows by itself. A pass over many objects is mostly garbage, and what
// collecting it more often costs is little beside what the API server does meanwhile.
const garbage = 50

// guard makes the gate for heavy work and the watch that holds it, which is nil
// when there is nothing to watch. The heap is kept below the limit in any case.
func (f *memoryFlags) guard(log logr.Logger) (*memory.Gate, *memory.Watch, error) {
	if err := f.Validate(); err != nil {
		return nil, nil, usage(err)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	group, err := memory.Find("/")
	if errors.Is(err, memory.ErrUnlimited) {
		return memory.NewGate(heavyBytes), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	gate := memory.NewGate(group.Limit / 4)
	w := &memory.Watch{Options: f.Options, Group: group, Gate: gate, Log: log}
	w.LimitHeap()
	log.Info("memory", "limitBytes", group.Limit, "heapLimitBytes", debug.SetMemoryLimit(-1), "watched", f.watch)
	if !f.watch {
		return gate, nil, nil
	}
	return gate, w, nil
}

// watchMemory runs a watch until ctx ends. Its end is that of the process, with a
// code of its own: whoever started it starts it anew.
func watchMemory(ctx context.Context, w *memory.Watch) error {
	if w == nil {
		return nil
	}
	err := w.Run(ctx)
	short := new(memory.Short)
	if errors.As(err, &short) {
		w.Log.Info("stopping: "+short.Error(), "usedBytes", short.Used, "limitBytes", short.Limit)
		return &exitError{exitMemory, err}
	}
	return err
}
