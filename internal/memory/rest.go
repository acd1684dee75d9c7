package memory

import (
	"runtime/debug"
	"time"
)

// Rest gives memory back once the work has come to rest.
type Rest struct {
	after time.Duration
	timer *time.Timer
}

// NewRest calls give each time that nothing was disturbed for a while after
// something had been; GiveBack is what the engine gives.
func NewRest(after time.Duration, give func()) *Rest {
	return &Rest{after: after, timer: time.AfterFunc(after, give)}
}

// Disturb says that there is work. It may be called from anywhere, as often as
// wanted.
func (r *Rest) Disturb() { r.timer.Reset(r.after) }

// Stop ends it.
func (r *Rest) Stop() { r.timer.Stop() }

// GiveBack returns to the system what only past work needed: the free part of the
// heap, and the pages of the program itself that only its start or that work read.
// The latter are on disk: what is needed again comes back by itself.
func GiveBack() {
	debug.FreeOSMemory()
	dropProgram()
}
