package engine

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// mostWaiting is how many bytes of notices may wait for the API server: those of a storm
// in which tens of thousands of units have something to tell at once.
const mostWaiting = 32 << 20

// noticeBytes is what a notice takes in memory beside its message.
const noticeBytes = 512

// notice is what an event is made from, once its turn comes.
type notice struct {
	about       corev1.ObjectReference
	warning     bool
	reason      string
	message     string
	annotations map[string]string
	at          time.Time // when it happened
	serial      int64     // no other notice of this process has the same
}

func (n *notice) bytes() int { return noticeBytes + len(n.message) }

// eventsDropped counts what was forgotten: of either type, since too much of it waited.
var eventsDropped = promauto.With(metrics.Registry).NewCounterVec(prometheus.CounterOpts{
	Name: "plumb_events_dropped_total", Help: "Events that were not sent, since the API server was too far behind.",
}, []string{"type"})

// eventsWaiting counts those that were told of, and not sent or forgotten since.
var eventsWaiting = promauto.With(metrics.Registry).NewGauge(prometheus.GaugeOpts{
	Name: "plumb_events_waiting", Help: "Events that the API server has not taken yet.",
})

// outbox holds the notices that wait for the API server, by what they weigh. Putting
// something in never blocks. They come out in their order; where not all can stay, the
// oldest go, and of the warnings only when there is nothing else.
type outbox struct {
	most int

	mu      sync.Mutex
	filled  sync.Cond
	waiting [2][]*notice // warnings, others; the oldest first
	bytes   int
	serial  int64
	dropped [2]int // since somebody told of it, which was at told
	told    time.Time
	closed  bool // nobody waits for more
}

func newOutbox(most int) *outbox {
	o := &outbox{most: most}
	o.filled.L = &o.mu
	return o
}

// put takes a notice in and numbers it: by its time, unless another has that number.
func (o *outbox) put(n *notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serial = max(o.serial+1, n.at.UnixNano())
	n.serial = o.serial
	eventsWaiting.Inc()
	o.putLocked(n)
}

// putBack takes a notice in again that could not be sent.
func (o *outbox) putBack(n *notice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.putLocked(n)
}

func (o *outbox) putLocked(n *notice) {
	kind := kindOf(n)
	o.waiting[kind] = append(o.waiting[kind], n)
	o.bytes += n.bytes()
	for o.bytes > o.most {
		kind := 1
		if len(o.waiting[kind]) == 0 {
			kind = 0
		}
		eventsDropped.WithLabelValues(typeOf(o.popLocked(kind).warning)).Inc()
		eventsWaiting.Dec()
		o.dropped[kind]++
	}
	o.filled.Signal()
}

func (o *outbox) popLocked(kind int) *notice {
	n := o.waiting[kind][0]
	o.waiting[kind][0] = nil
	o.waiting[kind] = o.waiting[kind][1:]
	o.bytes -= n.bytes()
	return n
}

// nextLocked is the kind of which a notice is the oldest of all, -1 when there are none.
func (o *outbox) nextLocked() int {
	next := -1
	for kind, waiting := range o.waiting {
		if len(waiting) > 0 && (next < 0 || waiting[0].serial < o.waiting[next][0].serial) {
			next = kind
		}
	}
	return next
}

// take waits for a notice. It gives nil when ctx ends, or when the outbox is closed and
// nothing is left.
func (o *outbox) take(ctx context.Context) *notice {
	defer context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.filled.Broadcast()
	})()
	o.mu.Lock()
	defer o.mu.Unlock()
	for ctx.Err() == nil {
		if kind := o.nextLocked(); kind >= 0 {
			return o.popLocked(kind)
		}
		if o.closed {
			return nil
		}
		o.filled.Wait()
	}
	return nil
}

// close says that no more comes.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.filled.Broadcast()
}

// forgotten are the warnings and the others that were dropped since the last time it
// told of some: once a minute while they pile up, and when nothing waits any more.
func (o *outbox) forgotten(now time.Time) (warnings, others int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dropped == [2]int{} || o.bytes > 0 && now.Sub(o.told) < time.Minute {
		return 0, 0
	}
	warnings, others = o.dropped[0], o.dropped[1]
	o.dropped, o.told = [2]int{}, now
	return warnings, others
}

func kindOf(n *notice) int {
	if n.warning {
		return 0
	}
	return 1
}

func typeOf(warning bool) string {
	if warning {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}
