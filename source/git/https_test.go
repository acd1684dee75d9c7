package git

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/transport"
)

// client is a certificate that signs itself, and its key, in PEM.
func client(t *testing.T) (cert, key []byte) {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(private))})
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	cert, key := client(t)
	handler := must(testgit.Handler(filepath.Dir(repo.Dir())))
	start := func(config *tls.Config) (url string, ca []byte) {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+secret {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			handler.ServeHTTP(w, r)
		}))
		server.TLS = config
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL + "/" + filepath.Base(repo.Dir()), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(cert)
	url, ca := start(nil)
	mutual, mutualCA := start(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients})
	token := Auth{BearerToken: secret}
	for name, c := range map[string]struct {
		url  string
		auth Auth
		over transport.Options
		want string // after the URL; "" for success
	}{
		"bearer token and CA":  {url, token, transport.Options{CA: ca}, ""},
		"wrong token":          {url, Auth{BearerToken: "x"}, transport.Options{CA: ca}, ": authentication failed"},
		"basic":                {url, Auth{Username: "u", Password: secret}, transport.Options{CA: ca}, ": authentication failed"},
		"no CA":                {url, token, transport.Options{}, ": the server's certificate: x509: certificate signed by unknown authority: trust its authority with ca.crt in spec.secretRef"},
		"mutual TLS":           {mutual, token, transport.Options{CA: mutualCA, Cert: cert, Key: key}, ""},
		"no certificate of us": {mutual, token, transport.Options{CA: mutualCA}, ": the server ends the TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, err := newStore(t).Fetch(t.Context(), Spec{URL: c.url, Ref: Ref{Branch: "main"}, Auth: c.auth, Transport: c.over}, "")
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				wantFile(t, s.Tree, "name", "x")
				return
			}
			if !errors.As(err, new(*source.AuthError)) || !strings.HasPrefix(err.Error(), c.url+c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v\nwant %s", err, c.url+c.want)
			}
		})
	}
}

// forward is a proxy for plain HTTP that lets one user in.
func forward(t *testing.T, passed *atomic.Int64) (address string) {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := r.Clone(r.Context())
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		if user != "user" || password != secret {
			http.Error(w, "who are you?", http.StatusProxyAuthRequired)
			return
		}
		request.RequestURI = ""
		request.Header.Del("Proxy-Authorization")
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		passed.Add(1)
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestProxy(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	url, _ := repo.HTTP(testgit.Options{})
	var passed atomic.Int64
	spec := onMain(url)
	spec.Transport.Proxy = &transport.Proxy{Address: forward(t, &passed), Username: "user", Password: secret}
	wantFile(t, mustFetch(t, newStore(t), spec).Tree, "name", "x")
	if passed.Load() < 2 {
		t.Errorf("%d requests went through the proxy", passed.Load())
	}
	spec.Transport.Proxy.Password = "wrong"
	_, _, err := newStore(t).Fetch(t.Context(), spec, "")
	if want := url + ": the proxy asks for other credentials: check spec.proxySecretRef"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	identity, host := newKey(t, "")
	spec = Spec{URL: "ssh://git@example.com/repo", Auth: Auth{Identity: identity, KnownHosts: host.Marshal()}, Transport: spec.Transport}
	spec.Auth.KnownHosts = []byte("example.com ssh-ed25519 " + "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n")
	if _, _, err := newStore(t).Fetch(t.Context(), spec, ""); err == nil || !strings.Contains(err.Error(), "SOCKS5 proxies only") {
		t.Errorf("ssh through an HTTP proxy: %v", err)
	}
}

// A server that sends us elsewhere does not get our credentials there.
func TestRedirectsKeepCredentials(t *testing.T) {
	t.Parallel()
	var leaked, asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		if r.Header.Get("Authorization") != "" {
			leaked.Store(true)
		}
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	t.Cleanup(other.Close)
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.String(), http.StatusFound)
	}))
	t.Cleanup(here.Close)
	for _, auth := range []Auth{{Username: "user", Password: secret}, {BearerToken: secret}} {
		asked.Store(false)
		_, _, err := newStore(t).Fetch(t.Context(), Spec{URL: here.URL + "/repo", Auth: auth}, "")
		if err == nil || !asked.Load() || leaked.Load() {
			t.Errorf("asked: %t, leaked: %t, %v", asked.Load(), leaked.Load(), err)
		}
	}
}

func TestSSHAlgorithms(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "x"))
	server := must(testgit.StartSSH(t.Context(), t.TempDir(), "KexAlgorithms=ecdh-sha2-nistp384"))
	t.Cleanup(server.Stop)
	spec := Spec{URL: server.URL(repo.Dir()), Ref: Ref{Branch: "main"}, Auth: Auth{Identity: server.Identity, KnownHosts: server.KnownHosts}}
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"default":                {Options{}, ""},
		"allowed":                {Options{SSHKexAlgorithms: []string{"ecdh-sha2-nistp384"}, SSHHostKeyAlgorithms: []string{"ssh-ed25519"}}, ""},
		"no key exchange":        {Options{SSHKexAlgorithms: []string{"ecdh-sha2-nistp256"}}, "none of which is allowed: name one in --ssh-kex-algos"},
		"no host key algorithms": {Options{SSHHostKeyAlgorithms: []string{"rsa-sha2-512"}}, "or set --ssh-hostkey-algos"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := must(New(t.TempDir(), c.options)).Fetch(t.Context(), spec, "")
			if c.want == "" && err != nil || c.want != "" && (!errors.As(err, new(*source.AuthError)) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if err := (Options{SSHKexAlgorithms: []string{"rot13"}}).CheckAlgorithms(); err == nil || !strings.HasPrefix(err.Error(), "--ssh-kex-algos") {
		t.Errorf("an algorithm that does not exist: %v", err)
	}
}

// A server whose host key signs with SHA-1 only is refused unless that is allowed.
func TestSSHRefusesSHA1(t *testing.T) {
	t.Parallel()
	s := must(New(t.TempDir(), Options{}))
	known := []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"}
	if got := s.hostKeyAlgorithms(known); len(got) != 2 {
		t.Errorf("offers %v", got)
	}
	s.options.SSHHostKeyAlgorithms = []string{"ssh-rsa"}
	if got := s.hostKeyAlgorithms(known); len(got) != 1 || got[0] != "ssh-rsa" {
		t.Errorf("offers %v", got)
	}
}

// Azure DevOps answers only clients that can take several acknowledgements.
func TestServerThatInsistsOnMultiACK(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("name", "one"))
	url, _ := repo.HTTP(testgit.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := must(io.ReadAll(r.Body))
			if r.Method == http.MethodPost && !strings.Contains(string(body), "multi_ack_detailed") {
				http.Error(w, "multi_ack_detailed is needed", http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			next.ServeHTTP(w, r)
		})
	}})
	s := newStore(t)
	wantFile(t, mustFetch(t, s, onMain(url)).Tree, "name", "one")
	for _, text := range []string{"two", "three"} { // the difference to what is there
		repo.Commit(testgit.File("name", text))
		wantFile(t, mustFetch(t, s, onMain(url)).Tree, "name", text)
	}
}
