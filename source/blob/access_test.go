package blob_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/blob"
	"github.com/plumb-gitops/plumb/source/transport"
)

// fetch fetches once, with a store of its own. Errors are stable and hold no secret.
func fetch(t *testing.T, s blob.Spec) (source.Snapshot, error) {
	t.Helper()
	client := newClient(t, t.TempDir(), source.DefaultLimits())
	found, _, err := client.Fetch(t.Context(), s, "")
	if err == nil {
		return found, nil
	}
	_, _, again := client.Fetch(t.Context(), s, "")
	if again == nil || again.Error() != err.Error() {
		t.Errorf("the same trouble is %q, then %v", err, again)
	}
	for _, secret := range []string{"planted", "sig=", testbucket.AccountKey} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a secret is in the error: %v", err)
		}
	}
	return found, err
}

// wantFile checks that a fetch succeeds and brings a.yaml.
func wantFile(t *testing.T, s blob.Spec) {
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

func isAuth(err error) bool     { return errors.As(err, new(*source.AuthError)) }
func isNotFound(err error) bool { return errors.As(err, new(*source.NotFoundError)) }
func isInvalid(err error) bool  { return errors.As(err, new(*source.InvalidError)) }
func isOther(err error) bool    { return !isAuth(err) && !isNotFound(err) && !isInvalid(err) }

func TestAccess(t *testing.T) {
	t.Parallel()
	open := testbucket.StartBlob(t, testbucket.Options{})
	secure := testbucket.StartBlob(t, testbucket.Options{TLS: true})
	mutual := testbucket.StartBlob(t, testbucket.Options{TLS: true, ClientCert: true})
	name, other := open.Container(t, false), open.Container(t, false)
	open.Put(t, name, map[string]string{"a.yaml": "a: 1\n"})
	token := open.SAS(t, name)
	sas := func(text string) func(*blob.Spec) {
		return func(s *blob.Spec) { s.Auth = blob.Auth{SAS: text} }
	}
	broken, err := url.ParseQuery(token)
	if err != nil {
		t.Fatal(err)
	}
	broken.Set("sig", "cGxhbnRlZA==")
	for label, c := range map[string]struct {
		server *testbucket.Blob
		change func(s *blob.Spec)
		is     func(error) bool // nil when it succeeds
		text   string
	}{
		"account key":             {open, nil, nil, ""},
		"an authority of its own": {secure, nil, nil, ""},
		"a client certificate":    {mutual, nil, nil, ""},
		"SAS token":               {open, sas(token), nil, ""},
		"SAS with question mark":  {open, sas("?" + token), nil, ""},
		"SAS in the endpoint":     {open, func(s *blob.Spec) { s.Auth, s.Endpoint = blob.Auth{}, s.Endpoint+"?"+token }, nil, ""},
		"the Secret's SAS wins":   {open, func(s *blob.Spec) { s.Auth, s.Endpoint = blob.Auth{SAS: token}, s.Endpoint+"?"+broken.Encode() }, nil, ""},
		"a slash at the end":      {open, func(s *blob.Spec) { s.Endpoint += "/" }, nil, ""},
		"wrong SAS":               {open, sas(broken.Encode()), isAuth, "(AuthorizationFailure): check the credentials"},
		"SAS of another":          {open, func(s *blob.Spec) { s.Auth, s.Container = blob.Auth{SAS: token}, other }, isAuth, "check the credentials"},
		"no key":                  {open, func(s *blob.Spec) { s.Auth.AccountKey = "planted!" }, isInvalid, "accountKey is no key of an account"},
		"unknown authority":       {secure, func(s *blob.Spec) { s.Transport = transport.Options{} }, isAuth, "ca.crt in spec.certSecretRef"},
		"no client certificate":   {mutual, func(s *blob.Spec) { s.Transport.Cert, s.Transport.Key = nil, nil }, isAuth, "tls.crt and tls.key"},
		"plain HTTP, not allowed": {open, func(s *blob.Spec) { s.Insecure = false }, isInvalid, "allow it with spec.insecure"},
		"TLS, the server has none": {open, func(s *blob.Spec) { s.Endpoint = strings.Replace(s.Endpoint, "http:", "https:", 1) }, isOther,
			"write http:// in spec.endpoint"},
		"no such container":  {open, func(s *blob.Spec) { s.Container = "absent" }, isNotFound, "container 'absent' does not exist"},
		"no URL":             {open, func(s *blob.Spec) { s.Endpoint = "account.blob.core.windows.net" }, isInvalid, "the endpoint is the URL of the account"},
		"credentials in it":  {open, func(s *blob.Spec) { s.Endpoint = "http://u:planted@127.0.0.1/x" }, isInvalid, "the endpoint is the URL of the account"},
		"no container":       {open, func(s *blob.Spec) { s.Container = "" }, isInvalid, "the container's name"},
		"a path in its name": {open, func(s *blob.Spec) { s.Container += "/x" }, isInvalid, "the container's name"},
		"nobody listens":     {open, func(s *blob.Spec) { s.Endpoint = "http://127.0.0.1:1/x" }, isOther, "connection refused"},
		"the proxy is away": {open, func(s *blob.Spec) {
			s.Transport.Proxy = &transport.Proxy{Address: "http://127.0.0.1:1", Password: "planted"}
		}, isOther, "proxyconnect"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			s := specOf(c.server, name)
			if c.change != nil {
				c.change(&s)
			}
			if c.is == nil {
				wantFile(t, s)
				return
			}
			if _, err := fetch(t, s); err == nil || !c.is(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %s", err, c.text)
			}
		})
	}
}

// A proxy that refuses us is told from a server, and the address with its token stays
// out of the error.
func TestProxyThatRefuses(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "who are you", http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	server := testbucket.StartBlob(t, testbucket.Options{TLS: true})
	s := specOf(server, server.Container(t, false))
	s.Auth, s.Transport.Proxy = blob.Auth{SAS: server.SAS(t, s.Container)}, &transport.Proxy{Address: proxy.URL, Username: "u", Password: "planted"}
	if _, err := fetch(t, s); !isAuth(err) || err.Error() != s.Endpoint+"/"+s.Container+": the proxy asks for other credentials: check spec.proxySecretRef" {
		t.Errorf("got %v", err)
	}
}

// What a real server takes for a name, and a tree does not.
func TestNamesThatAreNoPaths(t *testing.T) {
	t.Parallel()
	server := testbucket.StartBlob(t, testbucket.Options{})
	for key, why := range map[string]string{"a//b": "an empty name between slashes", "x/../../b": "it leaves the tree", "/b": "it begins with a slash"} {
		s := specOf(server, server.Container(t, false))
		server.Put(t, s.Container, map[string]string{key: "planted", "a.yaml": "a: 1\n"})
		if _, err := fetch(t, s); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), `"`+key+`"`) {
			t.Errorf("%s: %v", key, err)
		}
		s.Ignore = new("/*\n!/a.yaml")
		wantFile(t, s)
	}
}

// Accounts with folders list them as blobs.
func TestFolders(t *testing.T) {
	t.Parallel()
	server := testbucket.StartBlob(t, testbucket.Options{})
	s := specOf(server, server.Container(t, false))
	server.Folder(t, s.Container, "sub")
	server.Put(t, s.Container, map[string]string{"a.yaml": "a: 1\n", "sub/b.yaml": "b"})
	wantFile(t, s)
}

func TestAuthFromSecret(t *testing.T) {
	t.Parallel()
	pair := string(certificate(t))
	packed, err := os.ReadFile(filepath.Join("testdata", "reader.pfx"))
	if err != nil {
		t.Fatal(err)
	}
	for label, c := range map[string]struct {
		data map[string][]byte
		text string // of the error, "" for none
	}{
		"account key":                {secret("accountKey", "planted"), ""},
		"SAS":                        {secret("sasKey", "?sv=1&sig=planted"), ""},
		"managed identity":           {secret("clientId", "reader"), ""},
		"certificate":                {secret("tenantId", "t", "clientId", "c", "clientCertificate", pair), ""},
		"nothing":                    {secret("password", "planted"), "it needs accountKey, or sasKey"},
		"no SAS":                     {secret("sasKey", "planted;%zz"), "sasKey is no SAS token"},
		"a secret without tenant":    {secret("clientId", "c", "clientSecret", "planted"), "tenantId and clientId"},
		"a tenant without secret":    {secret("tenantId", "t", "clientId", "c"), "clientSecret or clientCertificate"},
		"no certificate":             {secret("tenantId", "t", "clientId", "c", "clientCertificate", "planted"), "clientCertificate is no certificate"},
		"another password":           {secret("tenantId", "t", "clientId", "c", "clientCertificate", string(packed), "clientCertificatePassword", "planted-wrong"), "or clientCertificatePassword is another"},
		"a certificate without name": {secret("clientCertificate", pair), "tenantId and clientId"},
	} {
		_, err := blob.AuthFromSecret(c.data)
		if c.text == "" && err != nil || c.text != "" && (!isInvalid(err) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "planted")) {
			t.Errorf("%s: %v, want %s", label, err, c.text)
		}
	}
}
