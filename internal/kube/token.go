package kube

import (
	"net/http"

	"k8s.io/client-go/transport"
)

// bearing adds a token to each request, as it is at that moment.
func bearing(token func() (string, error)) transport.WrapperFunc {
	return func(next http.RoundTripper) http.RoundTripper { return tokens{next, token} }
}

type tokens struct {
	next  http.RoundTripper
	token func() (string, error)
}

// RoundTrip implements http.RoundTripper.
func (t tokens) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.token()
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it, also on errors
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return t.next.RoundTrip(r)
}
