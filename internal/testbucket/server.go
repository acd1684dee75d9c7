// Package testbucket runs real servers of buckets on loopback for tests: versitygw,
// which serves S3 out of a folder, and Azurite, the emulator of Azure Blob, as
// scripts/servers.sh gets them.
package testbucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testtls"
	"github.com/plumb-gitops/plumb/source/transport"
)

// patience bounds the start of a server.
const patience = 90 * time.Second

// Options of a server. The zero value speaks plain HTTP.
type Options struct {
	TLS        bool // speak TLS, with a certificate of Server.CA for localhost and 127.0.0.1
	ClientCert bool // with TLS: let in only who has a certificate of Server.CA
}

// Server is the way to a server, with what tests need to see and to break.
type Server struct {
	Address string // host:port
	CA      []byte // PEM; of the server's certificate

	options Options
	pair    testtls.Pair
	mu      sync.Mutex
	asked   []string
	before  func(http.ResponseWriter, *http.Request) bool
}

// front puts a way in before a server.
func front(tb testing.TB, o Options, to *url.URL, through *http.Transport) *Server {
	tb.Helper()
	s := &Server{options: o}
	through.DisableCompression = true
	tb.Cleanup(through.CloseIdleConnections)
	forward := &httputil.ReverseProxy{Transport: through, ErrorLog: quiet, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host // signatures are about the host
	}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
		before := s.before
		s.mu.Unlock()
		if before == nil || before(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	server.Config.ErrorLog = quiet
	if o.TLS {
		server.TLS = s.secure(tb)
		server.StartTLS()
	} else {
		server.Start()
	}
	tb.Cleanup(server.Close)
	s.Address = server.Listener.Addr().String()
	return s
}

// secure makes the certificates of a server and of its clients.
func (s *Server) secure(tb testing.TB) *tls.Config {
	tb.Helper()
	ca := testtls.New(tb)
	s.CA, s.pair = ca.PEM, ca.Issue(tb, "client")
	config := ca.Server(tb)
	if s.options.ClientCert {
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(ca.PEM)
	}
	return config
}

// Transport is what a client needs to reach the server.
func (s *Server) Transport() transport.Options {
	o := transport.Options{CA: s.CA}
	if s.options.ClientCert {
		o.Cert, o.Key = s.pair.Cert, s.pair.Key
	}
	return o
}

// Before puts something before the server: it gets each request, and tells whether
// the server is to answer it.
func (s *Server) Before(hook func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = hook
}

// Take returns the requests since the last call, as "GET /bucket/key".
func (s *Server) Take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// Downloads are the objects that were asked for since the last call of it or of Take,
// as "bucket/key".
func (s *Server) Downloads() (keys []string) {
	for _, asked := range s.Take() {
		path, query, _ := strings.Cut(strings.TrimPrefix(asked, "GET /"), "?")
		path, err := url.PathUnescape(path)
		if err == nil && strings.HasPrefix(asked, "GET ") && !strings.Contains(query, "list") && !strings.Contains(query, "location") {
			keys = append(keys, path)
		}
	}
	return keys
}

// tool is a file below .dev of this checkout.
func tool(tb testing.TB, parts ...string) string {
	tb.Helper()
	dir, err := os.Getwd()
	check(tb, err)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("the test does not run in a checkout")
		}
	}
	file := filepath.Join(append([]string{dir, ".dev"}, parts...)...)
	if _, err := os.Stat(file); err != nil {
		tb.Fatalf("%v: get it with sh scripts/servers.sh", err)
	}
	return file
}

// until repeats try until it succeeds.
func until(tb testing.TB, try func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for err := try(ctx); err != nil; err = try(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatal(err)
		}
	}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
