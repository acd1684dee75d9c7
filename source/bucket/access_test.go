package bucket_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/internal/testtls"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/bucket"
	"github.com/plumb-gitops/plumb/source/transport"
)

// nowhere is a host that nobody has to look up: no name has such a long label.
var nowhere = strings.Repeat("nowhere", 10) + ".invalid"

// planted are the secrets of these tests; no error may hold one.
var planted = []string{"planted-secret-key", "planted-wrong", "planted-session", "planted-password"}

// fetch fetches once, with a store of its own.
func fetch(t *testing.T, s bucket.Spec) (source.Snapshot, error) {
	t.Helper()
	client := newClient(t, t.TempDir(), source.DefaultLimits())
	found, _, err := client.Fetch(t.Context(), s, "")
	if err != nil {
		_, _, again := client.Fetch(t.Context(), s, "")
		if again == nil || again.Error() != err.Error() {
			t.Errorf("the same trouble is %q, then %v", err, again)
		}
		for _, secret := range planted {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("a secret is in the error: %v", err)
			}
		}
	}
	return found, err
}

// wantFile checks that a fetch succeeds and brings a.yaml.
func wantFile(t *testing.T, s bucket.Spec) {
	t.Helper()
	found, err := fetch(t, s)
	if err != nil {
		t.Error(err)
		return
	}
	if content, err := found.Tree.Read("a.yaml"); err != nil || string(content) != "a: 1\n" {
		t.Errorf("a.yaml is %q, %v", content, err)
	}
}

// withFile starts a server whose bucket has the file a.yaml.
func withFile(t *testing.T, o testbucket.Options) *testbucket.S3 {
	t.Helper()
	server := start(t, o)
	server.Put(t, name, map[string]string{"a.yaml": "a: 1\n"})
	return server
}

func isAuth(err error) bool     { return errors.As(err, new(*source.AuthError)) }
func isNotFound(err error) bool { return errors.As(err, new(*source.NotFoundError)) }
func isInvalid(err error) bool  { return errors.As(err, new(*source.InvalidError)) }
func isOther(err error) bool    { return !isAuth(err) && !isNotFound(err) && !isInvalid(err) }

func TestAccess(t *testing.T) {
	t.Parallel()
	open := withFile(t, testbucket.Options{})
	secure := withFile(t, testbucket.Options{TLS: true})
	mutual := withFile(t, testbucket.Options{TLS: true, ClientCert: true})
	for label, c := range map[string]struct {
		server *testbucket.S3
		change func(s *bucket.Spec)
		is     func(error) bool // nil when it succeeds
		text   string
	}{
		"plain HTTP":               {open, nil, nil, ""},
		"an authority of its own":  {secure, nil, nil, ""},
		"a client certificate":     {mutual, nil, nil, ""},
		"with the region":          {open, func(s *bucket.Spec) { s.Region = "us-east-1" }, nil, ""},
		"by the provider aws":      {open, func(s *bucket.Spec) { s.Provider = bucket.AWS }, nil, ""},
		"unknown authority":        {secure, func(s *bucket.Spec) { s.Transport = transport.Options{} }, isAuth, "ca.crt in spec.certSecretRef"},
		"no client certificate":    {mutual, func(s *bucket.Spec) { s.Transport.Cert, s.Transport.Key = nil, nil }, isAuth, "tls.crt and tls.key"},
		"TLS, the server has none": {open, func(s *bucket.Spec) { s.Insecure = false }, isOther, "allow it with spec.insecure"},
		"no TLS, the server has":   {secure, func(s *bucket.Spec) { s.Insecure = true }, isOther, "status 400"},
		"wrong secret key":         {open, func(s *bucket.Spec) { s.Keys.Secret = "planted-wrong" }, isAuth, "(SignatureDoesNotMatch): check the credentials"},
		"wrong access key":         {open, func(s *bucket.Spec) { s.Keys.Access = "nobody" }, isAuth, "check the credentials"},
		// The server gives out no sessions, so a token for one is refused by it.
		"a session's token": {open, func(s *bucket.Spec) { s.Keys.Session = "planted-session" }, isAuth, "(InvalidToken): check the credentials"},
		"no keys":           {open, func(s *bucket.Spec) { s.Keys = bucket.Keys{} }, isAuth, "(AccessDenied)"},
		"no such bucket":    {open, func(s *bucket.Spec) { s.Bucket = "absent" }, isNotFound, "bucket 'absent' does not exist"},
		"another region":    {open, func(s *bucket.Spec) { s.Region = "eu-west-1" }, isOther, "check spec.region"},
		"no host":           {open, func(s *bucket.Spec) { s.Endpoint = "https://" + s.Endpoint }, isInvalid, "the endpoint is a host with its port"},
		"a path":            {open, func(s *bucket.Spec) { s.Endpoint += "/x" }, isInvalid, "the endpoint is a host with its port"},
		"credentials in it": {open, func(s *bucket.Spec) { s.Endpoint = "u:planted-password@" + s.Endpoint }, isInvalid, "(an endpoint with credentials)"},
		"no endpoint":       {open, func(s *bucket.Spec) { s.Endpoint = "" }, isInvalid, "the endpoint is a host with its port"},
		"no bucket":         {open, func(s *bucket.Spec) { s.Bucket = "" }, isInvalid, "the bucket's name"},
		"no bucket's name":  {open, func(s *bucket.Spec) { s.Bucket = "A_B" }, isInvalid, ""},
		"nobody listens":    {open, func(s *bucket.Spec) { s.Endpoint = "127.0.0.1:1" }, isOther, "connection refused"},
		"no such host":      {open, func(s *bucket.Spec) { s.Endpoint = nowhere }, isOther, "host " + nowhere + " not found"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			s := specOf(c.server)
			if c.change != nil {
				c.change(&s)
			}
			if c.is == nil {
				wantFile(t, s)
				return
			}
			if _, err := fetch(t, s); err == nil || !c.is(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %T %v, want %s", errors.Unwrap(err), err, c.text)
			}
		})
	}
}

func TestPublicBuckets(t *testing.T) {
	t.Parallel()
	server := withFile(t, testbucket.Options{})
	server.Public(t, name)
	s := specOf(server)
	s.Keys = bucket.Keys{}
	wantFile(t, s)
}

// With a region the server is asked for what is in the bucket, and for nothing else;
// without, once where it is.
func TestRequests(t *testing.T) {
	t.Parallel()
	server := withFile(t, testbucket.Options{})
	for region, want := range map[string]int{"us-east-1": 1, "": 2} {
		client, s := newClient(t, t.TempDir(), source.DefaultLimits()), specOf(server)
		s.Region = region
		found, _, err := client.Fetch(t.Context(), s, "")
		if err != nil {
			t.Fatal(err)
		}
		if asked := server.Take(); len(asked) != want+1 {
			t.Errorf("region %q: the first fetch asks %q", region, asked)
		}
		if _, _, err := client.Fetch(t.Context(), s, found.Revision); err != nil {
			t.Fatal(err)
		}
		if asked := server.Take(); len(asked) != 1 {
			t.Errorf("region %q: a look that finds nothing new asks %q", region, asked)
		}
	}
}

// proxy is an HTTP proxy that lets in who knows the password.
func proxy(t *testing.T) (*transport.Proxy, *atomic.Int64) {
	t.Helper()
	asked := &atomic.Int64{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Proxy-Authorization") != "Basic dTpwbGFudGVkLXBhc3N3b3Jk" { // u:planted-password
			http.Error(w, "who are you", http.StatusProxyAuthRequired)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return &transport.Proxy{Address: server.URL, Username: "u", Password: "planted-password"}, asked
}

func TestProxy(t *testing.T) {
	t.Parallel()
	server := withFile(t, testbucket.Options{})
	s := specOf(server)
	through, asked := proxy(t)
	s.Transport.Proxy = through
	wantFile(t, s)
	if asked.Load() == 0 {
		t.Error("nothing went through the proxy")
	}
	other := *through
	other.Password = "planted-wrong"
	s.Transport.Proxy = &other
	if _, err := fetch(t, s); err == nil || !strings.Contains(err.Error(), "407") {
		t.Errorf("with another password: %v", err)
	}
}

// sts is a security token service, which gives out the keys of a server.
func sts(t *testing.T, server *testbucket.S3) (url string, ca []byte) {
	t.Helper()
	authority := testtls.New(t)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := r.FormValue("Action")
		ldap := action == "AssumeRoleWithLDAPIdentity" && r.FormValue("LDAPUsername") == "jo" && r.FormValue("LDAPPassword") == "planted-password"
		web := action == "AssumeRoleWithWebIdentity" && r.FormValue("WebIdentityToken") == "ours for sts.amazonaws.com" && r.FormValue("RoleArn") == "arn:aws:iam::1:role/reader"
		if !ldap && !web {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>AccessDenied</Code><Message>request 4711 of planted-password</Message></Error></ErrorResponse>`))
			return
		}
		_, _ = w.Write([]byte(`<` + action + `Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><` + action + `Result><Credentials><AccessKeyId>` + server.Access +
			`</AccessKeyId><SecretAccessKey>` + server.Secret + `</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></` + action + `Result></` + action + `Response>`))
	}))
	service.TLS = authority.Server(t)
	service.StartTLS()
	t.Cleanup(service.Close)
	return service.URL, authority.PEM
}
