package apply

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// factsLast is how long what was found out about a cluster is believed: as long as many
// units change at once, and no longer.
const factsLast = 10 * time.Second

// Facts are what was found out about a cluster that holds for the objects of many units:
// who has a say in what is written, and who may write. It is for many plans at once, and
// the zero value is ready.
type Facts struct {
	mu      sync.Mutex
	found   map[string]fact
	finding singleflight.Group
}

type fact struct {
	value any
	until time.Time
}

// remembered is what was found out a moment ago, or is found out now. What could not be
// found out is not kept.
func remembered[T any](f *Facts, key string, find func() (T, error)) (T, error) {
	f.mu.Lock()
	known, ok := f.found[key]
	f.mu.Unlock()
	if value, is := known.value.(T); ok && is && time.Now().Before(known.until) {
		return value, nil
	}
	value, err, _ := f.finding.Do(key, func() (any, error) {
		value, err := find()
		if err == nil {
			f.keep(key, value)
		}
		return value, err
	})
	out, is := value.(T)
	if err == nil && !is {
		err = fmt.Errorf("%s is %T", key, value)
	}
	return out, err
}

// keep notes a fact, and drops those that are too old.
func (f *Facts) keep(key string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for other, known := range f.found {
		if !now.Before(known.until) {
			delete(f.found, other)
		}
	}
	if f.found == nil {
		f.found = map[string]fact{}
	}
	f.found[key] = fact{value, now.Add(factsLast)}
}
