package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/transport"
)

const username, password = "reader", "pass-word-of-the-reader"

func pullSecret(t testing.TB, key, password string) oci.Auth {
	t.Helper()
	file, err := json.Marshal(map[string]any{"auths": map[string]any{key: map[string]string{"username": username, "password": password}}})
	check(t, err)
	a, err := oci.AuthFromSecret(map[string][]byte{".dockerconfigjson": file})
	check(t, err)
	return a
}

func TestAccess(t *testing.T) {
	t.Parallel()
	open := testregistry.Options{}
	basic := testregistry.Options{TLS: true, Username: username, Password: password}
	token := testregistry.Options{TLS: true, Username: username, Password: password, Token: true}
	mutual := testregistry.Options{TLS: true, ClientCert: true}
	login := func(password string) *oci.Login {
		return &oci.Login{As: "robot", Get: func(context.Context, string) (string, string, time.Time, error) {
			return username, password, time.Now().Add(time.Hour), nil
		}}
	}
	denied := new(*source.AuthError)
	tests := map[string]struct {
		server testregistry.Options
		change func(s *oci.Spec, host string)
		err    any // nil for success; a pointer to the error's type; or a text in it
	}{
		"open":                         {server: open, change: func(s *oci.Spec, _ string) { s.Insecure = true }},
		"plain HTTP without leave":     {server: open, change: func(*oci.Spec, string) {}, err: "plain HTTP: allow it with spec.insecure"},
		"nobody":                       {server: basic, change: func(*oci.Spec, string) {}, err: denied},
		"username and password":        {server: basic, change: func(s *oci.Spec, _ string) { s.Auth = oci.Auth{Username: username, Password: password} }},
		"pull secret":                  {server: basic, change: func(s *oci.Spec, host string) { s.Auth = pullSecret(t, host, password) }},
		"pull secret for the path":     {server: basic, change: func(s *oci.Spec, host string) { s.Auth = pullSecret(t, "https://"+host+"/team", password) }},
		"pull secret for another path": {server: basic, change: func(s *oci.Spec, host string) { s.Auth = pullSecret(t, host+"/tea", password) }, err: denied},
		"pull secret for another host": {server: basic, change: func(s *oci.Spec, _ string) { s.Auth = pullSecret(t, "ghcr.io", password) }, err: denied},
		"pull secret, wrong":           {server: basic, change: func(s *oci.Spec, host string) { s.Auth = pullSecret(t, host, "wrong") }, err: denied},
		"login":                        {server: basic, change: func(s *oci.Spec, _ string) { s.Login = login(password) }},
		"login, wrong":                 {server: basic, change: func(s *oci.Spec, _ string) { s.Login = login("wrong") }, err: denied},
		"token":                        {server: token, change: func(s *oci.Spec, host string) { s.Auth = pullSecret(t, host, password) }},
		"token, wrong":                 {server: token, change: func(s *oci.Spec, host string) { s.Auth = pullSecret(t, host, "wrong") }, err: denied},
		"token, nobody":                {server: token, change: func(*oci.Spec, string) {}, err: denied},
		"client certificate":           {server: mutual, change: func(*oci.Spec, string) {}},
		"no client certificate":        {server: mutual, change: func(s *oci.Spec, _ string) { s.Transport.Cert, s.Transport.Key = nil, nil }, err: denied},
		"unknown authority":            {server: basic, change: func(s *oci.Spec, _ string) { s.Transport.CA = nil }, err: denied},
		"not a pull secret":            {server: basic, change: func(s *oci.Spec, _ string) { s.Auth.PullSecrets = [][]byte{[]byte("{" + password)} }, err: new(*source.InvalidError)},
		"credentials in the URL": {server: basic, change: func(s *oci.Spec, host string) {
			s.URL = "oci://" + username + ":" + password + "@" + host + "/" + repository
		}, err: new(*source.InvalidError)},
		"a tag in the URL":               {server: basic, change: func(s *oci.Spec, _ string) { s.URL += ":latest" }, err: new(*source.InvalidError)},
		"another scheme":                 {server: basic, change: func(s *oci.Spec, _ string) { s.URL = "https://example.com" }, err: new(*source.InvalidError)},
		"a host that is not there":       {server: open, change: func(s *oci.Spec, _ string) { s.URL = "oci://127.0.0.1:1/x" }, err: "connection refused"},
		"a repository that is not there": {server: open, change: func(s *oci.Spec, _ string) { s.Insecure, s.URL = true, s.URL+"/none" }, err: new(*source.NotFoundError)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testregistry.Start(t, tc.server)
			push(t, r, "latest", "a: 1\n")
			spec := oci.Spec{URL: "oci://" + r.Address + "/" + repository, Transport: r.Transport()}
			tc.change(&spec, r.Address)
			_, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, "")
			expected(t, err, tc.err)
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

func expected(t *testing.T, err error, want any) {
	t.Helper()
	text, isText := want.(string)
	switch {
	case want == nil && err != nil:
		t.Error(err)
	case isText && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("got %v, want %q", err, text)
	case want != nil && !isText && !errors.As(err, want):
		t.Errorf("got %v, want a %T", err, want)
	case err != nil && !strings.HasPrefix(err.Error(), "oci://") && !strings.HasPrefix(err.Error(), "https://"):
		if !errors.As(err, new(*source.InvalidError)) {
			t.Errorf("the error does not say where: %v", err)
		}
	}
}

// The error for the same trouble is the same text each time.
func TestErrorsAreStable(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{TLS: true, Username: username, Password: password, Token: true})
	client := newClient(t, t.TempDir(), source.DefaultLimits())
	for name, spec := range map[string]oci.Spec{
		"down":   {URL: "oci://127.0.0.1:1/x"},
		"denied": {URL: "oci://" + r.Address + "/" + repository, Transport: r.Transport()},
	} {
		_, _, one := client.Fetch(t.Context(), spec, "")
		_, _, two := client.Fetch(t.Context(), spec, "")
		if one == nil || two == nil || one.Error() != two.Error() {
			t.Errorf("%s: %v\n%v", name, one, two)
		}
	}
}

// A login is asked for once while it holds, and again when it has run out, by
// everybody who logs in as the same.
func TestLogin(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{TLS: true, Username: username, Password: password})
	push(t, r, "latest", "a: 1\n")
	for name, tc := range map[string]struct {
		holds time.Duration
		asked func(int64) bool
	}{
		"that holds":       {time.Hour, func(n int64) bool { return n == 1 }},
		"that has run out": {-time.Hour, func(n int64) bool { return n > 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			client := newClient(t, t.TempDir(), source.DefaultLimits())
			for range 3 {
				spec := oci.Spec{URL: "oci://" + r.Address + "/" + repository, Transport: r.Transport()}
				spec.Login = &oci.Login{As: "robot", Get: func(_ context.Context, host string) (string, string, time.Time, error) {
					asked.Add(1)
					if host != r.Address {
						return "", "", time.Time{}, fmt.Errorf("log in to %s, not %s", r.Address, host)
					}
					return username, password, time.Now().Add(tc.holds), nil
				}}
				_, _, err := client.Fetch(t.Context(), spec, "")
				check(t, err)
			}
			if n := asked.Load(); !tc.asked(n) {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("that fails", func(t *testing.T) {
		t.Parallel()
		spec := oci.Spec{URL: "oci://" + r.Address + "/" + repository, Transport: r.Transport()}
		spec.Login = &oci.Login{Get: func(context.Context, string) (string, string, time.Time, error) {
			return "", "", time.Time{}, &source.AuthError{Err: errors.New("the identity service refuses")}
		}}
		_, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, "")
		expected(t, err, new(*source.AuthError))
	})
}

// A token is asked for once, not with every poll.
func TestTokenIsKept(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{TLS: true, Username: username, Password: password, Token: true})
	push(t, r, "latest", "a: 1\n")
	before := r.Tokens()
	client := newClient(t, t.TempDir(), source.DefaultLimits())
	for range 3 {
		spec := oci.Spec{URL: "oci://" + r.Address + "/" + repository, Transport: r.Transport(), Auth: pullSecret(t, r.Address, password)}
		_, _, err := client.Fetch(t.Context(), spec, "")
		check(t, err)
	}
	if n := r.Tokens() - before; n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{TLS: true})
	push(t, r, "latest", "a: 1\n")
	address, tunnels := startProxy(t)
	for name, tc := range map[string]struct {
		password string
		err      any
	}{
		"let in":  {password, nil},
		"refused": {"wrong", new(*source.AuthError)},
	} {
		spec := oci.Spec{URL: "oci://" + r.Address + "/" + repository, Transport: r.Transport()}
		spec.Transport.Proxy = &transport.Proxy{Address: "http://" + address, Username: username, Password: tc.password}
		before := tunnels.Load()
		_, _, err := newClient(t, t.TempDir(), source.DefaultLimits()).Fetch(t.Context(), spec, "")
		expected(t, err, tc.err)
		if (tunnels.Load() > before) != (tc.err == nil) {
			t.Errorf("%s: %d tunnels", name, tunnels.Load()-before)
		}
	}
}

// startProxy runs a proxy that makes tunnels for one user.
func startProxy(t *testing.T) (address string, tunnels *atomic.Int64) {
	t.Helper()
	tunnels = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		request.Header.Set("Authorization", request.Header.Get("Proxy-Authorization"))
		if u, p, _ := request.BasicAuth(); request.Method != http.MethodConnect || u != username || p != password {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		up, err := net.Dial("tcp", request.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		tunnels.Add(1)
		w.WriteHeader(http.StatusOK)
		down, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = up.Close()
			return
		}
		go func() {
			_, _ = io.Copy(up, buffered)
			_ = up.Close()
		}()
		_, _ = io.Copy(down, up)
		_ = down.Close()
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), tunnels
}

// TestHostile: what a registry sends that means us ill, or is broken. Such an
// answer is made out of a good one on its way.
func TestHostile(t *testing.T) {
	t.Parallel()
	r := testregistry.Start(t, testregistry.Options{})
	push(t, r, "latest", "a: 1\n")
	tests := map[string]struct {
		path   string                      // what is asked for
		body   func(good []byte) []byte    // what is sent instead
		header func(answer *http.Response) // how the answer is changed
		err    string                      // "-" for none
	}{
		"another manifest":       {path: "/manifests/", body: func(good []byte) []byte { return append(good, ' ') }, err: "does not match requested digest"},
		"a manifest without end": {path: "/manifests/", body: func([]byte) []byte { return make([]byte, 5<<20) }, err: "more than 4194304 bytes"},
		"another layer":          {path: "/blobs/", body: func(good []byte) []byte { good[9] ^= 1; return good }},
		"a longer layer":         {path: "/blobs/", body: func(good []byte) []byte { return append(good, make([]byte, 1<<20)...) }, err: "more than the"},
		"a shorter layer":        {path: "/blobs/", body: func(good []byte) []byte { return good[:len(good)-4] }},
		"no digest":              {header: func(answer *http.Response) { answer.Header.Del("Docker-Content-Digest") }, err: "-"},
		"an error page":          {header: func(answer *http.Response) { answer.StatusCode = http.StatusBadGateway }, err: "status 502"},
		"another server": {path: "/blobs/", header: func(answer *http.Response) {
			answer.StatusCode = http.StatusTemporaryRedirect
			answer.Header.Set("Location", "http://169.254.169.254/?token="+password)
		}, err: "redirect"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, t.TempDir(), source.DefaultLimits())
			address := r.Changed(t, func(answer *http.Response) error {
				if !strings.Contains(answer.Request.URL.Path, tc.path) {
					return nil
				}
				if tc.header != nil {
					tc.header(answer)
				}
				if tc.body == nil || answer.Request.Method != http.MethodGet {
					return nil
				}
				good, err := io.ReadAll(answer.Body)
				if err != nil {
					return err
				}
				answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(tc.body(good))), -1
				answer.Header.Del("Content-Length")
				return nil
			})
			s, _, err := client.Fetch(t.Context(), plain(address), "")
			if tc.err == "-" {
				check(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), password) {
				t.Errorf("fetched %s, %v; want %q", s.Revision, err, tc.err)
			}
		})
	}
}
