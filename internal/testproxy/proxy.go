// Package testproxy stands between a client and a real API server, and makes one
// request go wrong in a given way.
package testproxy

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Fault is a way in which a request goes wrong.
type Fault string

// The faults.
const (
	Conflict    Fault = "409"               // refused: somebody else was quicker
	TooMany     Fault = "429"               // refused, with Retry-After
	ServerError Fault = "500"               // a write is carried out, and then the answer is an error
	Timeout     Fault = "timeout"           // a write is carried out, and never answered
	Cut         Fault = "connection cut"    // a write is carried out, and the connection ends
	Vanished    Fault = "deleted meanwhile" // the object is deleted just before
)

// Faults are all of them.
var Faults = []Fault{Conflict, TooMany, ServerError, Timeout, Cut, Vanished}

// Rule says which request goes wrong, and how.
type Rule struct {
	Match func(*http.Request) bool
	Fault Fault
	// Vanish deletes the object that the request is about, for Vanished.
	Vanish func()
}

// Proxy is one proxy. The rule hits one request only.
type Proxy struct {
	rule   Rule
	behind *httputil.ReverseProxy

	mu  sync.Mutex
	hit bool
}

// New starts a proxy in front of the cluster of a kubeconfig, until the test
// ends. It returns the kubeconfig that leads through the proxy.
func New(tb testing.TB, kubeconfig string, rule Rule) (*Proxy, string) {
	tb.Helper()
	file, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		tb.Fatal(err)
	}
	config, err := clientcmd.NewDefaultClientConfig(*file, nil).ClientConfig()
	if err != nil {
		tb.Fatal(err)
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(config)) // the client's own headers pass
	if err != nil {
		tb.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{rule: rule, behind: &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	server := httptest.NewTLSServer(p) // clients send no credentials without TLS
	tb.Cleanup(func() {
		_ = server.Listener.Close() // or a client that is still there comes back in between
		server.CloseClientConnections()
		server.Close()
	})
	for _, cluster := range file.Clusters {
		cluster.Server = server.URL
		cluster.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	}
	through := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*file, through); err != nil {
		tb.Fatal(err)
	}
	return p, through
}

// Hit tells whether the request came by.
func (p *Proxy) Hit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.takes(r) {
		p.behind.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodGet && p.rule.Fault != Vanished && p.rule.Fault != Conflict && p.rule.Fault != TooMany {
		p.behind.ServeHTTP(httptest.NewRecorder(), r) // carried out, only nobody is told
	}
	switch p.rule.Fault {
	case Conflict:
		refuse(w, http.StatusConflict, "Conflict")
	case TooMany:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "TooManyRequests")
	case ServerError:
		refuse(w, http.StatusInternalServerError, "InternalError")
	case Timeout:
		<-r.Context().Done()
	case Cut:
		panic(http.ErrAbortHandler)
	case Vanished:
		p.rule.Vanish()
		p.behind.ServeHTTP(w, r)
	}
}

func (p *Proxy) takes(r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hit || !p.rule.Match(r) {
		return false
	}
	p.hit = true
	return true
}

// refuse answers as an API server does.
func refuse(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"injected fault","reason":%q,"code":%d}`, reason, code)
}
