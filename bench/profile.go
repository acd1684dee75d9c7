package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// profiling keeps one CPU profile after the other while an engine runs; go tool
// pprof puts any number of them together.
type profiling struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	step   string // what the next profile is of
}

// profileSeconds is how long one profile is. A step gets those that began in it.
const profileSeconds = 2

func (l *lab) keepProfiles(e *engine) *profiling {
	ctx, cancel := context.WithCancel(context.Background())
	p := &profiling{cancel: cancel, step: "start"}
	dir := filepath.Join(l.out, "profiles")
	p.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			p.mu.Lock()
			name := fmt.Sprintf("%s-%d-%s-%03d.pb.gz", l.name, l.n, p.step, i)
			p.mu.Unlock()
			raw, err := e.get(ctx, "profiles", fmt.Sprintf("/debug/pprof/profile?seconds=%d", profileSeconds))
			if err != nil {
				return
			}
			if os.MkdirAll(dir, 0o755) != nil || os.WriteFile(filepath.Join(dir, name), raw, 0o600) != nil {
				return // the figures do without
			}
		}
	})
	return p
}

func (p *profiling) name(step string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step = step
}

func (p *profiling) stop() {
	p.cancel()
	p.done.Wait()
}
