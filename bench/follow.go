package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// state is what a step waits for in an object.
type state struct {
	generation, observed int64
	ready                bool
	established          bool // a definition that is served
	reason, message      string
	revision             string // applied: of a source or a chart; or the value of a ConfigMap
}

// follower watches all objects of one kind in one namespace. It asks for nothing
// else: who waits costs the cluster nothing.
type follower struct {
	mu      sync.Mutex
	states  map[string]state
	waiting *wait
	err     error
	stop    context.CancelFunc
}

// wait is a wait under way.
type wait struct {
	done  func(state) bool
	since time.Time
	left  map[string]bool
	took  []time.Duration
	over  chan struct{}
}

// follow starts to watch a kind, as in
// /apis/kustomize.toolkit.fluxcd.io/v1/namespaces/x/kustomizations.
func (l *lab) follow(ctx context.Context, path string) (*follower, error) {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{states: map[string]state{}, stop: cancel}
	body, err := l.watch(ctx, path)
	if err != nil {
		cancel()
		return nil, err
	}
	go f.keep(body, func() (io.ReadCloser, error) { return l.watch(ctx, path) })
	return f, nil
}

// watch opens a watch. Its first events are all objects there are.
func (l *lab) watch(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.cluster.Config.Host+path+"?watch=true", nil)
	if err != nil {
		return nil, err
	}
	answer, err := l.cluster.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return nil, errors.Join(fmt.Errorf("watch %s: %s: %s", path, answer.Status, text), err)
	}
	return answer.Body, nil
}

// keep reads a watch, and opens it anew when the server has closed it: it does that to
// a client that is behind, which one is on a machine that is full.
func (f *follower) keep(body io.ReadCloser, again func() (io.ReadCloser, error)) {
	for {
		f.read(body)
		f.forget()
		var err error
		if body, err = again(); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.err = fmt.Errorf("the watch has ended: %w", err)
			return
		}
	}
}

// event is an event of a watch, with as much of the object as is looked at.
type event struct {
	Type   string
	Object struct {
		Metadata struct {
			Name       string
			Generation int64
		}
		Data   map[string]string
		Status struct {
			ObservedGeneration  int64
			LastAppliedRevision string
			Conditions          []struct{ Type, Status, Reason, Message string }
			History             []struct{ ChartVersion string }
		}
	}
}

// read takes the events of a watch until it ends.
func (f *follower) read(body io.ReadCloser) {
	defer body.Close()
	for decoder := json.NewDecoder(body); ; {
		var e event
		if err := decoder.Decode(&e); err != nil {
			return
		}
		f.take(e)
	}
}

// forget drops what was seen: a new watch begins with all there is, and does not tell
// what was deleted in between.
func (f *follower) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.states)
}

func (f *follower) take(e event) {
	s := state{generation: e.Object.Metadata.Generation, observed: e.Object.Status.ObservedGeneration, revision: e.Object.Status.LastAppliedRevision}
	for _, c := range e.Object.Status.Conditions {
		if c.Type == "Ready" {
			s.ready, s.reason, s.message = c.Status == "True", c.Reason, c.Message
		}
		s.established = s.established || c.Type == "Established" && c.Status == "True"
	}
	if h := e.Object.Status.History; s.revision == "" && len(h) > 0 {
		s.revision = h[0].ChartVersion
	}
	if value, ok := e.Object.Data["value"]; ok {
		s.revision = value
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Type == "DELETED" {
		delete(f.states, e.Object.Metadata.Name)
		return
	}
	f.states[e.Object.Metadata.Name] = s
	f.waiting.look(e.Object.Metadata.Name, s)
}

// look takes an object off the wait when it is as wanted.
func (w *wait) look(name string, s state) {
	if w == nil || !w.left[name] || !w.done(s) {
		return
	}
	delete(w.left, name)
	w.took = append(w.took, time.Since(w.since))
	if len(w.left) == 0 {
		close(w.over)
	}
}

// await waits until all of names are as wanted, and returns how long each took,
// shortest first.
func (f *follower) await(ctx context.Context, names []string, since time.Time, done func(state) bool) ([]time.Duration, error) {
	w := &wait{done: done, since: since, left: make(map[string]bool, len(names)), over: make(chan struct{})}
	for _, name := range names {
		w.left[name] = true
	}
	f.mu.Lock()
	f.waiting = w
	for name, s := range f.states {
		w.look(name, s)
	}
	f.mu.Unlock()
	select {
	case <-w.over:
		return w.took, nil
	case <-ctx.Done():
		return nil, f.unfinished(w)
	}
}

// unfinished says what a wait hung on.
func (f *follower) unfinished(w *wait) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range w.left {
		s := f.states[name]
		return errors.Join(fmt.Errorf("%d of %d are not as wanted, for example %s: generation %d, observed %d, Ready %t, %s: %s, at %s",
			len(w.left), len(w.left)+len(w.took), name, s.generation, s.observed, s.ready, s.reason, s.message, s.revision), f.err)
	}
	return f.err
}

// isReady is Ready at the current generation.
func isReady(s state) bool { return s.ready && s.observed == s.generation }

// readyAt is Ready at a revision.
func readyAt(revision string) func(state) bool {
	return func(s state) bool { return isReady(s) && s.revision == revision }
}

// seen is: the controllers know of the newest spec.
func seen(s state) bool { return s.observed >= s.generation }

// quantile of sorted times, in seconds.
func quantile(took []time.Duration, q float64) float64 {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return round(took[min(len(took)-1, int(q*float64(len(took))))].Seconds())
}
