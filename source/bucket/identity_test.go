package bucket_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/source/bucket"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/transport"
)

func TestLDAP(t *testing.T) {
	t.Parallel()
	server := withFile(t, testbucket.Options{})
	endpoint, ca := sts(t, server)
	s := specOf(server)
	s.Keys = bucket.Keys{}
	service := bucket.STS{Provider: bucket.STSLDAP, Endpoint: endpoint, Username: "jo", Password: "planted-password", Transport: transport.Options{CA: ca}}
	for label, c := range map[string]struct {
		change func(*bucket.STS)
		text   string // of the error, "" for none
	}{
		"good":              {func(*bucket.STS) {}, ""},
		"wrong password":    {func(s *bucket.STS) { s.Password = "planted-wrong" }, "the service gives no credentials: check the user in spec.sts.secretRef"},
		"unknown authority": {func(s *bucket.STS) { s.Transport = transport.Options{} }, "spec.sts: " + endpoint},
		"nobody listens":    {func(s *bucket.STS) { s.Endpoint = "https://127.0.0.1:1" }, "spec.sts: https://127.0.0.1:1: dial: "},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			s, own := s, service
			c.change(&own)
			s.STS = &own
			if c.text == "" {
				wantFile(t, s)
				return
			}
			if _, err := fetch(t, s); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %s", err, c.text)
			}
		})
	}
}

// account is a service account of the cluster.
func account(annotations map[string]string) *cloud.ServiceAccount {
	return &cloud.ServiceAccount{Namespace: "apps", Name: "reader", Annotations: annotations, Token: func(ctx context.Context, audience string) (string, error) {
		return "ours for " + audience, ctx.Err()
	}}
}

func TestIdentityOfAmazon(t *testing.T) {
	t.Parallel()
	server := withFile(t, testbucket.Options{})
	endpoint, ca := sts(t, server)
	trusting, err := transport.New(transport.Options{CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	for label, c := range map[string]struct {
		annotations map[string]string
		text        string
	}{
		"a role":       {map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/reader"}, ""},
		"another role": {map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/other"}, "Amazon gives no credentials"},
		"no role":      {nil, "ServiceAccount/apps/reader lacks the annotations eks.amazonaws.com/role-arn"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			s := specOf(server)
			s.Provider, s.Keys, s.STS = bucket.AWS, bucket.Keys{}, &bucket.STS{Provider: bucket.STSAWS, Endpoint: endpoint}
			s.Identity = cloud.Options{ServiceAccount: account(c.annotations), HTTP: &http.Client{Transport: trusting}}
			if c.text == "" {
				wantFile(t, s)
				return
			}
			if _, err := fetch(t, s); !isAuth(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %s", err, c.text)
			}
		})
	}
}

// A role of the engine's own pod, as Amazon's webhook sets it up, and keys of the
// environment.
func TestIdentityOfThePod(t *testing.T) {
	server := withFile(t, testbucket.Options{})
	endpoint, ca := sts(t, server)
	trusting, err := transport.New(transport.Options{CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	s := specOf(server)
	s.Provider, s.Keys, s.STS = bucket.AWS, bucket.Keys{}, &bucket.STS{Provider: bucket.STSAWS, Endpoint: endpoint}
	s.Identity = cloud.Options{HTTP: &http.Client{Transport: trusting}}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("ours for sts.amazonaws.com"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/reader")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
	wantFile(t, s)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/other")
	if _, err := fetch(t, s); !isAuth(err) {
		t.Errorf("another role: %v", err)
	}
	s.STS = nil
	t.Setenv("AWS_ACCESS_KEY_ID", server.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.Secret)
	wantFile(t, s)
}

// google is where tokens of Google Cloud come from.
func google(t *testing.T) (url string, client *http.Client, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.FormValue("assertion") == "" && !strings.HasPrefix(r.FormValue("subject_token"), "ours for //iam.googleapis.com/projects/1/") {
			http.Error(w, `{"error":"invalid_grant","error_description":"planted-password"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"planted-session","token_type":"Bearer","expires_in":3600,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, server.Client(), asked
}

// googleKey is a key of a service account of Google's.
func googleKey(t *testing.T) []byte {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "reader@example.iam.gserviceaccount.com", "token_uri": "https://oauth2.example.com/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The server behind does not know Google's tokens, so what stands before it checks
// them, as Google does, and passes the rest on to a public bucket.
func TestIdentityOfGoogle(t *testing.T) {
	t.Parallel()
	server := withFile(t, testbucket.Options{TLS: true})
	server.Public(t, name)
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer planted-session" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`<Error><Code>AuthenticationRequired</Code><Message>Authentication required.</Message></Error>`))
			return false
		}
		r.Header.Del("Authorization")
		return true
	})
	url, client, asked := google(t)
	s := specOf(server)
	s.Provider, s.Keys = bucket.GCP, bucket.Keys{}
	s.Identity = cloud.Options{HTTP: client, GCPTokenURL: url}
	keyed := s
	keyed.Keys.Google = googleKey(t)
	wantFile(t, keyed)
	if asked.Load() != 1 {
		t.Errorf("%d tokens for one fetch", asked.Load())
	}
	workload := s
	workload.Identity.ServiceAccount = account(map[string]string{"gcp.auth.fluxcd.io/workload-identity-provider": "projects/1/locations/global/workloadIdentityPools/p/providers/k"})
	wantFile(t, workload)
	workload.Identity.ServiceAccount = account(map[string]string{"gcp.auth.fluxcd.io/workload-identity-provider": "projects/2/locations/global/workloadIdentityPools/p/providers/k"})
	if _, err := fetch(t, workload); !isAuth(err) || !strings.Contains(err.Error(), "Google Cloud gives no token") {
		t.Errorf("another pool: %v", err)
	}
	readable := keyed
	readable.Insecure = true
	if _, err := fetch(t, readable); !isInvalid(err) || !strings.Contains(err.Error(), "a token is not sent over plain HTTP") {
		t.Errorf("over plain HTTP: %v", err)
	}
	plain := s
	plain.Provider = bucket.Generic
	if _, err := fetch(t, plain); !isAuth(err) {
		t.Errorf("without a token: %v", err)
	}
}

func TestKeysFromSecret(t *testing.T) {
	t.Parallel()
	good := string(googleKey(t))
	for label, c := range map[string]struct {
		provider string
		data     map[string]string
		text     string
	}{
		"keys":               {"", map[string]string{"accesskey": "a", "secretkey": "planted-secret-key"}, ""},
		"with a session":     {bucket.AWS, map[string]string{"accesskey": "a", "secretkey": "planted-secret-key", "sessiontoken": "planted-session"}, ""},
		"one alone":          {bucket.Generic, map[string]string{"secretkey": "planted-secret-key"}, "accesskey and secretkey"},
		"nothing":            {bucket.AWS, nil, "accesskey and secretkey"},
		"Google's":           {bucket.GCP, map[string]string{"serviceaccount": good}, ""},
		"none of Google's":   {bucket.GCP, map[string]string{"accesskey": "a", "secretkey": "planted-secret-key"}, "no key serviceaccount"},
		"no JSON":            {bucket.GCP, map[string]string{"serviceaccount": "planted-password"}, "no key of a service account"},
		"what runs programs": {bucket.GCP, map[string]string{"serviceaccount": `{"type":"external_account","credential_source":{"executable":{"command":"planted-password"}}}`}, "no key of a service account"},
		"tokens in clear":    {bucket.GCP, map[string]string{"serviceaccount": strings.Replace(good, "https://", "http://", 1)}, "no key of a service account"},
	} {
		data := map[string][]byte{}
		for key, value := range c.data {
			data[key] = []byte(value)
		}
		_, err := bucket.KeysFromSecret(c.provider, data)
		if c.text == "" && err != nil || c.text != "" && (!isInvalid(err) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "planted")) {
			t.Errorf("%s: %v, want %s", label, err, c.text)
		}
	}
	if err := bucket.LDAPFromSecret(map[string][]byte{"password": []byte("planted-password")}, &bucket.STS{}); !isInvalid(err) {
		t.Errorf("a password alone: %v", err)
	}
}
