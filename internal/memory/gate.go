package memory

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Gate admits heavy work by bytes. It is safe for concurrent use; a nil *Gate admits
// everything.
type Gate struct {
	capacity int64
	room     *semaphore.Weighted

	mu   sync.Mutex
	open chan struct{} // closed while work may begin
}

// NewGate makes a gate for work of so many bytes at once.
func NewGate(capacity int64) *Gate {
	open := make(chan struct{})
	close(open)
	return &Gate{capacity: capacity, room: semaphore.NewWeighted(capacity), open: open}
}

// Admit waits, in the goroutine of the work and first come first served, until there
// is room for so many bytes and the gate is not held. Work that is larger than all
// the room is done alone. The error is that of ctx; without one release has to be
// called in the end.
func (g *Gate) Admit(ctx context.Context, bytes int64) (release func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	bytes = min(max(bytes, 1), g.capacity)
	for {
		select {
		case <-g.opened():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err := g.room.Acquire(ctx, bytes); err != nil {
			return nil, context.Cause(ctx)
		}
		select {
		case <-g.opened(): // it was not held in between
			return sync.OnceFunc(func() { g.room.Release(bytes) }), nil
		default:
			g.room.Release(bytes)
		}
	}
}

func (g *Gate) opened() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Hold holds new work back, or ends that.
func (g *Gate) Hold(held bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		if held {
			g.open = make(chan struct{})
		}
	default:
		if !held {
			close(g.open)
		}
	}
}
