package testregistry

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testtls"
)

// tokenServer gives tokens to one user, as the distribution specification's token
// authentication has it. The registry checks them.
type tokenServer struct {
	url     string
	options Options
	signer  testtls.Pair
	given   atomic.Int64
}

// Tokens is how many tokens were given out.
func (r *Registry) Tokens() int64 { return r.tokens.given.Load() }

func startTokens(tb testing.TB, ca *testtls.Authority, o Options) *tokenServer {
	tb.Helper()
	t := &tokenServer{options: o, signer: ca.Issue(tb, "tokens")}
	server := httptest.NewUnstartedServer(t)
	certificate, err := tls.X509KeyPair(t.signer.Cert, t.signer.Key)
	check(tb, err)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	tb.Cleanup(server.Close)
	// By name: clients distrust a registry that sends them to another private address.
	t.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return t
}

// ServeHTTP implements http.Handler.
func (t *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	username, password, _ := r.BasicAuth()
	if username != t.options.Username || password != t.options.Password {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	token, err := t.token(username, r.URL.Query()["scope"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	t.given.Add(1)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300})
}

// access is one permission in a token.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// token is a JSON Web Token that allows whatever was asked for.
func (t *tokenServer) token(subject string, scopes []string) (string, error) {
	allowed := []access{}
	for _, scope := range scopes {
		if part := strings.Split(scope, ":"); len(part) >= 3 {
			allowed = append(allowed, access{part[0], strings.Join(part[1:len(part)-1], ":"), strings.Split(part[len(part)-1], ",")})
		}
	}
	now := time.Now().Unix()
	header := map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(t.signer.DER)}}
	claims := map[string]any{"iss": "tests", "sub": subject, "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": rand.Text(), "access": allowed}
	var parts []string
	for _, part := range []any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ".")))
	r, s, err := ecdsa.Sign(rand.Reader, t.signer.Signer, sum[:])
	if err != nil {
		return "", err
	}
	const size = 32 // of a number of P-256
	sign := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(sign)), "."), nil
}
