package lease_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/plumb-gitops/plumb/internal/scenario"
	"github.com/plumb-gitops/plumb/shard/lease"
)

func TestMain(m *testing.M) { scenario.Main(m) }

// table is who works on which shard, as the engines themselves say.
type table struct {
	t    *testing.T
	mu   sync.Mutex
	by   map[int]string
	news chan struct{} // closed and renewed at each change
}

func newTable(t *testing.T) *table {
	return &table{t: t, by: map[int]string{}, news: make(chan struct{})}
}

func (b *table) set(shard int, was, now string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have := b.by[shard]; have != was {
		b.t.Errorf("shard %d goes from %q to %q while %q works on it", shard, was, now, have)
	}
	b.by[shard] = now
	close(b.news)
	b.news = make(chan struct{})
}

// stopped says that an engine does nothing any more.
func (b *table) stopped(engine string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, by := range b.by {
		if by == engine {
			b.by[i] = ""
		}
	}
}

// await waits until so many engines work on so many shards.
func (b *table) await(shards int, engines ...string) {
	b.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		b.mu.Lock()
		news, load, sum := b.news, map[string]int{}, 0
		for _, by := range b.by {
			if by != "" {
				load[by]++
				sum++
			}
		}
		b.mu.Unlock()
		fair := sum == shards && len(load) == len(engines)
		for _, name := range engines {
			fair = fair && load[name] > 0 && load[name] <= (shards+len(engines)-1)/len(engines)
		}
		if fair {
			return
		}
		select {
		case <-news:
		case <-limit:
			b.t.Fatalf("the shards are with %v, want fair shares of %v", load, engines)
		}
	}
}

// line is a connection that can be cut: requests fail, watches end. And it can lose the
// answer to one write of a Lease, which is carried out.
type line struct {
	http.RoundTripper
	cut atomic.Bool

	mu   sync.Mutex
	lose string        // part of the name of that Lease; "" for none
	lost bool          // it was lost
	then chan struct{} // for each write of such a Lease that comes through afterwards
}

var errCut = errors.New("the line is cut")

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	answer, err := l.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodPut || answer.StatusCode != http.StatusOK {
		return answer, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.lose == "" || !strings.Contains(r.URL.Path, l.lose):
	case !l.lost:
		l.lost = true
		return nil, errors.Join(errCut, answer.Body.Close())
	default:
		select {
		case l.then <- struct{}{}:
		default: // nobody counts them any more
		}
	}
	return answer, nil
}

func (l *line) loseAnswer(lease string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = lease
}

type engine struct {
	name  string
	line  *line
	stop  func() // in an orderly way
	ended chan error
}

// join starts an engine's part in a group.
func join(t *testing.T, b *table, ns, name string, count int) *engine {
	t.Helper()
	e := &engine{name: name, line: &line{then: make(chan struct{}, 2)}, ended: make(chan error, 1)}
	config := rest.CopyConfig(scenario.Open(t).Config)
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper { e.line.RoundTripper = rt; return e.line })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	g := &lease.Group{
		Leases: client.CoordinationV1().Leases(ns), Single: client.CoordinationV1().Leases(ns), Name: "engine", Identity: name, Count: count, Log: logr.Discard(),
		Gained: func(i int) { b.set(i, "", name) }, Lost: func(i int) { b.set(i, name, "") },
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() {
		err := g.Run(ctx)
		b.stopped(name) // at once: nobody else may work on it yet
		e.ended <- err
	}()
	e.stop = func() {
		cancel()
		if err := <-e.ended; err != nil {
			t.Error(err)
		}
		if err := g.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	return e
}

func namespace(t *testing.T) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(scenario.Open(t).Config)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lease-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// TestGroup: engines come, leave and lose their connection; all shards are worked on
// in the end, none ever by two.
func TestGroup(t *testing.T) {
	t.Parallel()
	ns, b := namespace(t), newTable(t)
	a := join(t, b, ns, "a", 7)
	b.await(7, "a")
	c := join(t, b, ns, "c", 7)
	d := join(t, b, ns, "d", 7)
	b.await(7, "a", "c", "d")
	c.stop()
	b.await(7, "a", "d")
	d.line.cut.Store(true)
	if err := <-d.ended; !errors.Is(err, lease.ErrLost) {
		t.Errorf("an engine whose lease cannot be renewed ends with %v", err)
	}
	b.await(7, "a")
	a.stop()
}

// TestRenewalWithoutAnswer: an engine that was not told that its lease is renewed goes on
// renewing it.
func TestRenewalWithoutAnswer(t *testing.T) {
	t.Parallel()
	b := newTable(t)
	a := join(t, b, namespace(t), "a", 1)
	b.await(1, "a")
	a.line.loseAnswer("-member-")
	for range 2 {
		select {
		case <-a.line.then:
		case err := <-a.ended:
			t.Fatalf("the engine ends with %v", err)
		}
	}
	a.stop()
}

// TestShardLeftWithoutAnswer: a shard that was left goes to another engine, though the one
// that left it was not told.
func TestShardLeftWithoutAnswer(t *testing.T) {
	t.Parallel()
	ns, b := namespace(t), newTable(t)
	a := join(t, b, ns, "a", 4)
	b.await(4, "a")
	a.line.loseAnswer("-shard-")
	c := join(t, b, ns, "c", 4)
	b.await(4, "a", "c")
	c.stop()
	b.await(4, "a")
	a.stop()
}

// TestOtherEngines: neither an engine that works alone nor a group with another number
// of shards has a group beside it.
func TestOtherEngines(t *testing.T) {
	t.Parallel()
	ns, b := namespace(t), newTable(t)
	client, err := kubernetes.NewForConfig(scenario.Open(t).Config)
	if err != nil {
		t.Fatal(err)
	}
	leases := client.CoordinationV1().Leases(ns)
	now := metav1.NowMicro()
	alone, err := leases.Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "engine"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("alone"), RenewTime: &now, LeaseDurationSeconds: new(int32(15))},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a := join(t, b, ns, "a", 2)
	alone.Spec.RenewTime = new(metav1.NowMicro())
	if _, err := leases.Update(t.Context(), alone, metav1.UpdateOptions{}); err != nil { // it would fail had anybody taken it
		t.Fatal(err)
	}
	b.await(2, "a") // after its time
	others := newTable(t)
	other := join(t, others, ns, "other", 3)
	b.await(2, "a")
	if others.working() {
		t.Error("two groups are at work")
	}
	a.stop()
	others.await(3, "other") // at once: the last one gives the lease of all back
	other.stop()
}

func (b *table) working() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.by) > 0
}
