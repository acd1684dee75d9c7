package transport_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/transport"
)

func TestAServerWithAnAuthorityOfItsOwn(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, c := range map[string]struct {
		options transport.Options
		works   bool
	}{
		"unknown authority": {transport.Options{}, false},
		"known authority":   {transport.Options{CA: ca}, true},
		"not verified":      {transport.Options{Insecure: true}, true},
	} {
		tr, err := transport.New(c.options)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Client{Transport: tr}).Get(server.URL)
		if err == nil {
			answer.Body.Close()
		}
		if (err == nil) != c.works {
			t.Errorf("%s: %v", name, err)
		}
		tr.CloseIdleConnections()
	}
}

func TestRequestsGoThroughTheProxy(t *testing.T) {
	t.Parallel()
	var asked, credentials string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked, credentials = r.URL.String(), r.Header.Get("Proxy-Authorization")
	}))
	defer proxy.Close()
	p, err := transport.ProxyFromSecret(map[string][]byte{"address": []byte(proxy.URL), "username": []byte("u"), "password": []byte("p")})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := transport.New(transport.Options{Proxy: p})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: tr}).Get("http://elsewhere.example/x")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if asked != "http://elsewhere.example/x" || credentials != "Basic dTpw" {
		t.Errorf("the proxy was asked for %q with %q", asked, credentials)
	}
}

func TestSecretsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]map[string][]byte{
		"no certificate":     {"ca.crt": []byte("planted")},
		"key alone":          {"tls.key": []byte("planted")},
		"no pair":            {"tls.crt": []byte("planted"), "tls.key": []byte("planted")},
		"no pair, old names": {"certFile": []byte("planted"), "keyFile": []byte("planted")},
	} {
		err := transport.TLSFromSecret(data, &transport.Options{})
		if !errors.As(err, new(*source.InvalidError)) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string]map[string][]byte{
		"no address": {"username": []byte("u")},
		"no URL":     {"address": []byte("proxy")},
	} {
		if _, err := transport.ProxyFromSecret(data); !errors.As(err, new(*source.InvalidError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAStatusMeans(t *testing.T) {
	t.Parallel()
	const address = "https://user:planted@host/x?sig=planted"
	for status, check := range map[int]func(error) bool{
		401: func(err error) bool { return errors.As(err, new(*source.AuthError)) },
		403: func(err error) bool { return errors.As(err, new(*source.AuthError)) },
		404: func(err error) bool { return errors.As(err, new(*source.NotFoundError)) },
		500: func(err error) bool { return !errors.As(err, new(*source.AuthError)) },
	} {
		if err := transport.Refused(address, status); !check(err) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%d: %v", status, err)
		}
	}
}
