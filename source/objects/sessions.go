package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"

	"github.com/plumb-gitops/plumb/source/transport"
)

// mostSessions bounds how many are kept.
const mostSessions = 512

// Sessions keeps ways to reach servers, by what makes them differ, so that a look
// that finds nothing new does not have to log in first. The zero value is ready.
type Sessions[T interface{ Close() }] struct {
	mu  sync.Mutex
	all map[string]T
}

// Get is the session of a key, made if there is none.
func (s *Sessions[T]) Get(key string, begin func() (T, error)) (session T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.all[key]; ok {
		return known, nil
	}
	if session, err = begin(); err != nil {
		return session, err
	}
	if s.all == nil || len(s.all) >= mostSessions {
		for _, old := range s.all {
			old.Close()
		}
		s.all = map[string]T{}
	}
	s.all[key] = session
	return session, nil
}

// End forgets a session that an error came from: what it knows of the server and of
// its own credentials may be the reason.
func (s *Sessions[T]) End(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.all[key]; ok {
		old.Close()
		delete(s.all, key)
	}
}

// Identity names what tells sessions apart, by a hash since that is secret. The
// parts hold strings, bytes, numbers, booleans and what is made of these.
func Identity(parts ...any) string {
	all, err := json.Marshal(parts)
	if err != nil {
		panic(err) // see above
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

// Tuned makes a transport fit for many downloads at once, of objects as they are:
// what a server stores compressed stays so.
func Tuned(t *http.Transport) *http.Transport {
	t.MaxIdleConnsPerHost, t.DisableCompression = downloads, true
	return t
}

// machine is where the services of clouds give a machine its identity. It is on no
// network that a proxy reaches.
const machine = "169.254.169.254"

// Login is a client for the logins of clouds: through the proxy of the bucket, but
// with the system's authorities. Without a proxy it is nil, the default.
func Login(p *transport.Proxy) (*http.Client, error) {
	if p == nil {
		return nil, nil
	}
	t, err := transport.New(transport.Options{Proxy: p})
	if err != nil {
		return nil, err
	}
	through := t.Proxy
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == machine {
			return nil, nil
		}
		return through(r)
	}
	return &http.Client{Transport: t}, nil
}
