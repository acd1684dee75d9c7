package engine

import (
	"sync"
	"time"
)

// retries spaces the attempts of sources that fail: soon at first, then less
// and less often, up to their interval.
type retries struct {
	mu     sync.Mutex
	failed map[sourceName]int
}

func newRetries() *retries { return &retries{failed: map[sourceName]int{}} }

func (r *retries) next(name sourceName, longest time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[name]++
	return backoff(r.failed[name], longest)
}

func (r *retries) count(name sourceName) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed[name]
}

func (r *retries) forget(name sourceName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, name)
}

// backoff is how long to wait after so many failures in a row: a second,
// doubled each time, up to the longest.
func backoff(failures int, longest time.Duration) time.Duration {
	const doublings = 20
	if failures > doublings {
		return longest
	}
	return min(longest, time.Second<<(failures-1))
}
