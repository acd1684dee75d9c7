package helmrepo

import (
	"context"
	"sync"
)

// turns let one at a time do each of many things. The zero value is ready.
type turns struct {
	mu  sync.Mutex
	all map[string]*turn
}

type turn struct {
	taken chan struct{}
	users int // who has it or waits for it
}

// wait takes the turn at something.
func (t *turns) wait(ctx context.Context, what string) (done func(), err error) {
	own := t.enter(what)
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; t.leave(what, own) }, nil
	case <-ctx.Done():
		t.leave(what, own)
		return nil, ctx.Err()
	}
}

func (t *turns) enter(what string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[string]*turn{}
	}
	own, ok := t.all[what]
	if !ok {
		own = &turn{taken: make(chan struct{}, 1)}
		t.all[what] = own
	}
	own.users++
	return own
}

func (t *turns) leave(what string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.all, what)
	}
}
