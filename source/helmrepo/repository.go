package helmrepo

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/plumb-gitops/plumb/source/transport"
)

// repository is a repository as one identity sees it.
type repository struct {
	base    *url.URL
	address string // of the index
	key     string
	http    *http.Client
	turn    chan struct{} // taken by whoever fetches or reads the index

	// The last index, and of it the charts that somebody asked for; for those who
	// have the turn.
	state  state
	charts map[string][]version

	mu    sync.Mutex
	asked map[string]bool // charts that somebody asked for since the index before
}

// mostRepositories bounds how many are kept.
const mostRepositories = 512

// repository opens what a spec names. Nothing is asked of the server yet.
func (c *Client) repository(s Spec) (*repository, error) {
	key := s.identity()
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.repositories[key]; ok {
		return known, nil
	}
	r, err := newRepository(s, key)
	if err != nil {
		return nil, err
	}
	if len(c.repositories) >= mostRepositories {
		for _, old := range c.repositories {
			old.http.CloseIdleConnections()
		}
		clear(c.repositories) // they are in the store
	}
	c.repositories[key] = r
	return r, nil
}

func newRepository(s Spec, key string) (*repository, error) {
	base, err := s.base()
	if err != nil {
		return nil, err
	}
	at, err := s.index()
	if err != nil {
		return nil, err
	}
	t, err := transport.New(s.Transport)
	if err != nil {
		return nil, err
	}
	return &repository{
		base: base, address: at.String(), key: key,
		http: &http.Client{Transport: &careful{
			inner: t, origin: *base, everywhere: s.PassCredentials, username: s.Username, password: s.Password,
		}},
		turn: make(chan struct{}, 1), charts: map[string][]version{}, asked: map[string]bool{},
	}, nil
}

// wait takes the turn.
func (r *repository) wait(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask notes that a chart is needed. Whoever reads the index next takes it along,
// so that many charts of a large index cost few passes.
func (r *repository) ask(chart string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[chart] = true
}

// wanted are the charts that were asked for.
func (r *repository) wanted() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.asked)
}

// replace puts the charts of a new index in the place of those before. Who still
// needs one asks again; what nobody asks for is not in the index after this.
func (r *repository) replace(charts map[string][]version) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.charts, r.asked = charts, map[string]bool{}
}

// forget drops what is known of the index.
func (r *repository) forget() { r.state, r.charts = state{}, map[string][]version{} }

// careful is a transport that gives credentials to those only whom they are for.
// They are added here, below the client, which would carry them on when a server
// redirects to a subdomain.
type careful struct {
	inner              *http.Transport
	origin             url.URL
	everywhere         bool
	username, password string
}

// RoundTrip implements http.RoundTripper.
func (c *careful) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.username != "" && (c.everywhere || origin(r.URL) == origin(&c.origin)) {
		r = r.Clone(r.Context())
		r.SetBasicAuth(c.username, c.password)
	}
	return c.inner.RoundTrip(r)
}

// origin is what an address has in common with others of its server.
func origin(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// CloseIdleConnections is what http.Client looks for.
func (c *careful) CloseIdleConnections() { c.inner.CloseIdleConnections() }
