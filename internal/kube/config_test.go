package kube

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// slow is a server that answers when it is let, and tells how many requests it
// has before it.
type slow struct {
	*httptest.Server
	arrived chan string // one query for each request that came in
	let     chan struct{}
	most    atomic.Int32
}

func newSlow(t *testing.T) *slow {
	s := &slow{arrived: make(chan string, 100), let: make(chan struct{})}
	var now atomic.Int32
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		count := now.Add(1)
		defer now.Add(-1)
		for most := s.most.Load(); count > most && !s.most.CompareAndSwap(most, count); most = s.most.Load() {
		}
		s.arrived <- r.URL.RawQuery
		select {
		case <-s.let:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// get makes a request and tells how it ended.
func (s *slow) get(ctx context.Context, client *http.Client, query string) <-chan error {
	done := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/?"+query, nil)
		if err == nil {
			var answer *http.Response
			if answer, err = client.Do(r); err == nil {
				err = answer.Body.Close()
			}
		}
		done <- err
	}()
	return done
}

func boundedClient(limit int) *http.Client {
	return &http.Client{Transport: bounded{&http.Transport{}, make(chan struct{}, limit)}}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s, client := newSlow(t), boundedClient(2)
	defer client.CloseIdleConnections()
	var done []<-chan error
	for range 6 {
		done = append(done, s.get(t.Context(), client, "limit=500"))
	}
	<-s.arrived
	<-s.arrived
	close(s.let)
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
	if got := s.most.Load(); got != 2 {
		t.Errorf("%d requests were under way at once, want 2", got)
	}
}

func TestWatchesDoNotCount(t *testing.T) {
	t.Parallel()
	s, client := newSlow(t), boundedClient(1)
	defer client.CloseIdleConnections()
	done := []<-chan error{s.get(t.Context(), client, "limit=1")}
	<-s.arrived
	for range 3 {
		done = append(done, s.get(t.Context(), client, "watch=true&resourceVersion=5"))
	}
	for range 3 {
		if query := <-s.arrived; !strings.HasPrefix(query, "watch") {
			t.Errorf("%q got through", query)
		}
	}
	close(s.let)
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
}

func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s, client := newSlow(t), boundedClient(1)
	defer client.CloseIdleConnections()
	first := s.get(t.Context(), client, "")
	<-s.arrived
	ctx, cancel := context.WithCancel(t.Context())
	second := s.get(ctx, client, "")
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(s.let)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-s.get(t.Context(), client, ""); err != nil {
		t.Errorf("the turn was not given back: %v", err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestATurnIsGivenBackAfterAnError(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	b := bounded{roundTrip(func(*http.Request) (*http.Response, error) { return nil, refused }), make(chan struct{}, 1)}
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		if !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
	}
}

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: one, cluster: {server: "https://one.example.com"}}
- {name: two, cluster: {server: "https://two.example.com"}}
contexts:
- {name: one, context: {cluster: one, user: u}}
- {name: two, context: {cluster: two, user: u}}
users: [{name: u, user: {}}]
`

func TestLoadConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]string{"": "https://one.example.com", "two": "https://two.example.com"} {
		config, err := LoadConfig(file, context, "v1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != want || config.QPS >= 0 || !strings.HasPrefix(config.UserAgent, "plumb/v1.2.3 (") {
			t.Errorf("context %q: got %s, %v requests a second, as %s", context, config.Host, config.QPS, config.UserAgent)
		}
		if _, ok := config.WrapTransport(http.DefaultTransport).(bounded); !ok {
			t.Error("requests are not bounded")
		}
	}
	for name, c := range map[string][2]string{"no such context": {file, "three"}, "no such file": {file + "x", ""}} {
		if _, err := LoadConfig(c[0], c[1], ""); err == nil || !strings.HasPrefix(err.Error(), "no cluster to talk to: ") || !strings.Contains(err.Error(), "--kubeconfig") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
