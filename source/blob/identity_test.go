package blob_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/source/blob"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/transport"
)

// entra is where tokens of Azure come from: Microsoft Entra ID, and the machine that
// a managed identity belongs to.
type entra struct {
	URL    string
	server *httptest.Server

	mu    sync.Mutex
	forms []url.Values
}

// machine is the address of the service on each machine of Azure's.
const machine = "169.254.169.254"

func startEntra(t *testing.T) *entra {
	t.Helper()
	e := &entra{}
	e.server = httptest.NewTLSServer(http.HandlerFunc(e.answer))
	e.URL = e.server.URL + "/"
	t.Cleanup(e.server.Close)
	return e
}

// RoundTrip leads requests for tokens to the mock, those for the machine included.
func (e *entra) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == machine {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(e.server.URL, "https://")
	}
	return e.server.Client().Transport.RoundTrip(r)
}

// options lead to the mock.
func (e *entra) options() cloud.Options {
	return cloud.Options{HTTP: &http.Client{Transport: e}, AzureAuthority: e.URL}
}

func (e *entra) answer(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "no form", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if strings.Contains(r.URL.Path, "openid-configuration") {
		fmt.Fprintf(w, `{"token_endpoint":"%[1]s/tenant/oauth2/v2.0/token","authorization_endpoint":"%[1]s/tenant/a","issuer":"%[1]s/tenant/v2.0"}`, "https://"+r.Host)
		return
	}
	e.mu.Lock()
	e.forms = append(e.forms, r.Form)
	e.mu.Unlock()
	if !known(r) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: %d planted-password"}`, time.Now().UnixNano())
		return
	}
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":"3600","expires_on":"%d","resource":"https://storage.azure.com"}`, token(), time.Now().Add(time.Hour).Unix())
}

// known tells who gets a token: the client "reader", with the right proof.
func known(r *http.Request) bool {
	f := r.Form
	if r.URL.Path == "/metadata/identity/oauth2/token" {
		return r.Header.Get("Metadata") == "true" && (strings.HasPrefix(f.Get("client_id"), "reader") || strings.HasPrefix(f.Get("msi_res_id")+f.Get("mi_res_id"), "/subscriptions/1/reader"))
	}
	return f.Get("client_id") == "reader" && f.Get("scope") == "https://storage.azure.com/.default openid offline_access profile" &&
		(f.Get("client_secret") == "planted-secret" || f.Get("client_assertion") == "ours for api://AzureADTokenExchange" || strings.Count(f.Get("client_assertion"), ".") == 2)
}

// token is one that the server of the tests takes: it checks all but the signature.
func token() string {
	part := func(v any) string {
		raw, _ := json.Marshal(v) // a map of strings and numbers
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	now := time.Now().Unix()
	return part(map[string]any{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{
		"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/", "iat": now - 60, "nbf": now - 60, "exp": now + 3600, "oid": "reader", "tid": "tenant",
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("planted-signature"))
}

// certificate is one of a service principal with its issuer's, and the key, in PEM.
func certificate(t *testing.T) []byte {
	t.Helper()
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	above := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	own := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "reader"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	first, err := x509.CreateCertificate(rand.Reader, own, above, key.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	second, err := x509.CreateCertificate(rand.Reader, above, above, issuer.Public(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: second}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// chain is how many certificates the proof in a form shows.
func chain(t *testing.T, form url.Values) int {
	t.Helper()
	header, _, _ := strings.Cut(form.Get("client_assertion"), ".")
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Chain []string `json:"x5c"`
	}
	if err := json.Unmarshal(raw, &parsed); err != nil {
		t.Fatal(err)
	}
	return len(parsed.Chain)
}

func account(annotations map[string]string) *cloud.ServiceAccount {
	return &cloud.ServiceAccount{Namespace: "apps", Name: "reader", Annotations: annotations, Token: func(_ context.Context, audience string) (string, error) {
		return "ours for " + audience, nil
	}}
}

// secret makes the data of a Secret.
func secret(pairs ...string) map[string][]byte {
	data := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = []byte(pairs[i+1])
	}
	return data
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	server := testbucket.StartBlob(t, testbucket.Options{TLS: true})
	name := server.Container(t, false)
	server.Put(t, name, map[string]string{"a.yaml": "a: 1\n"})
	pair := string(certificate(t))
	// As openssl makes one: a key, its certificate, and a password.
	packed, err := os.ReadFile(filepath.Join("testdata", "reader.pfx"))
	if err != nil {
		t.Fatal(err)
	}
	own := rand.Text() // tokens of managed identities are shared in the process
	workload := map[string]string{"azure.workload.identity/client-id": "reader", "azure.workload.identity/tenant-id": "tenant"}
	for label, c := range map[string]struct {
		data    map[string][]byte
		account *cloud.ServiceAccount
		sends   func(t *testing.T, form url.Values) bool
		text    string // of the error, "" for none
	}{
		"service principal with a secret":      {secret("tenantId", "tenant", "clientId", "reader", "clientSecret", "planted-secret"), nil, nil, ""},
		"with another secret":                  {secret("tenantId", "tenant", "clientId", "reader", "clientSecret", "planted-wrong"), nil, nil, "Azure gives no token for the identity (AADSTS7000215): check"},
		"service principal with a certificate": {secret("tenantId", "tenant", "clientId", "reader", "clientCertificate", pair), nil, func(t *testing.T, f url.Values) bool { t.Helper(); return chain(t, f) == 0 }, ""},
		"and with its chain":                   {secret("tenantId", "tenant", "clientId", "reader", "clientCertificate", pair, "clientCertificateSendChain", "true"), nil, func(t *testing.T, f url.Values) bool { t.Helper(); return chain(t, f) > 0 }, ""},
		"a certificate with a password":        {secret("tenantId", "tenant", "clientId", "reader", "clientCertificate", string(packed), "clientCertificatePassword", "planted-password"), nil, nil, ""},
		"managed identity":                     {secret("clientId", "reader"+own), nil, func(_ *testing.T, f url.Values) bool { return f.Get("resource") == "https://storage.azure.com" }, ""},
		"managed identity by its resource":     {secret("resourceId", "/subscriptions/1/reader"+own), nil, nil, ""},
		"another managed identity":             {secret("clientId", "nobody"), nil, nil, "Azure gives no token"},
		"workload identity":                    {nil, account(workload), nil, ""},
		"an account that is no identity":       {nil, account(nil), nil, "ServiceAccount/apps/reader lacks the annotations azure.workload.identity/client-id and"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			login := startEntra(t)
			s := specOf(server, name)
			s.Auth, s.Identity = blob.Auth{}, login.options()
			s.Identity.ServiceAccount = c.account
			if c.data != nil {
				c.data["authorityHost"] = []byte(login.URL)
				var err error
				if s.Auth, err = blob.AuthFromSecret(c.data); err != nil {
					t.Fatal(err)
				}
			}
			if c.text != "" {
				if _, err := fetch(t, s); !isAuth(err) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v, want %s", err, c.text)
				}
				return
			}
			wantFile(t, s)
			if len(login.forms) != 1 {
				t.Fatalf("%d tokens for one fetch", len(login.forms))
			}
			if c.sends != nil && !c.sends(t, login.forms[0]) {
				t.Errorf("it sends %v", login.forms[0])
			}
		})
	}
}

// Who is nobody reads what is public. The identity is asked for once.
func TestNoIdentity(t *testing.T) {
	t.Parallel()
	server := testbucket.StartBlob(t, testbucket.Options{TLS: true})
	login := startEntra(t)
	public, private := server.Container(t, true), server.Container(t, false)
	s := specOf(server, public)
	s.Auth, s.Identity = blob.Auth{}, login.options()
	server.Put(t, public, map[string]string{"a.yaml": "a: 1\n"})
	wantFile(t, s)
	s.Container = private
	if _, err := fetch(t, s); !isNotFound(err) && !isAuth(err) || !strings.Contains(err.Error(), "credentials") {
		t.Errorf("a private container: %v", err)
	}
}

// The identity of the kubelet, which the node's own file names.
func TestKubeletIdentity(t *testing.T) {
	t.Parallel()
	server := testbucket.StartBlob(t, testbucket.Options{TLS: true})
	s := specOf(server, server.Container(t, false))
	server.Put(t, s.Container, map[string]string{"a.yaml": "a: 1\n"})
	login := startEntra(t)
	s.Auth, s.Identity = blob.Auth{}, login.options()
	s.Identity.KubeletFile = filepath.Join(t.TempDir(), "azure.json")
	own := "reader" + rand.Text()
	node := `{"cloud":"AzurePublicCloud","useManagedIdentityExtension":true,"userAssignedIdentityID":%q,"aadClientSecret":"planted"}`
	if err := os.WriteFile(s.Identity.KubeletFile, fmt.Appendf(nil, node, own), 0o600); err != nil {
		t.Fatal(err)
	}
	wantFile(t, s)
	if len(login.forms) != 1 || login.forms[0].Get("client_id") != own {
		t.Errorf("the machine was asked for %v", login.forms)
	}
	// Without the file the machine is asked for the one that it has: here, for none.
	s.Identity.KubeletFile, login.forms = filepath.Join(t.TempDir(), "absent"), nil
	if _, err := fetch(t, s); err == nil {
		t.Error("nobody gets in")
	}
	if len(login.forms) == 0 || login.forms[0].Has("client_id") {
		t.Errorf("the machine was asked for %v", login.forms)
	}
}

// Workload identity of the engine's own pod, as Azure's webhook sets it up.
func TestIdentityOfThePod(t *testing.T) {
	server := testbucket.StartBlob(t, testbucket.Options{TLS: true})
	s := specOf(server, server.Container(t, false))
	server.Put(t, s.Container, map[string]string{"a.yaml": "a: 1\n"})
	login := startEntra(t)
	s.Auth, s.Identity = blob.Auth{}, login.options()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("ours for api://AzureADTokenExchange"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"AZURE_CLIENT_ID": "reader", "AZURE_TENANT_ID": "tenant", "AZURE_FEDERATED_TOKEN_FILE": file, "AZURE_AUTHORITY_HOST": login.URL} {
		t.Setenv(name, value)
	}
	wantFile(t, s)
	if len(login.forms) != 1 || login.forms[0].Get("client_assertion") != "ours for api://AzureADTokenExchange" {
		t.Errorf("Azure is sent %v", login.forms)
	}
}

// A token never goes over plain HTTP.
func TestTokensStaySecret(t *testing.T) {
	t.Parallel()
	server := testbucket.StartBlob(t, testbucket.Options{})
	login := startEntra(t)
	s := specOf(server, server.Container(t, true))
	s.Auth, s.Identity, s.Transport = blob.Auth{}, login.options(), transport.Options{}
	s.Identity.ServiceAccount = account(map[string]string{"azure.workload.identity/client-id": "reader", "azure.workload.identity/tenant-id": "tenant"})
	if _, err := fetch(t, s); err == nil || !strings.Contains(err.Error(), "a token is not sent over plain HTTP") {
		t.Errorf("got %v", err)
	}
	if asked := server.Take(); len(asked) != 0 {
		t.Errorf("the server was asked %q", asked)
	}
}
