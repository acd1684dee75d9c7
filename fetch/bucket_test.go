package fetch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/testbucket"
	"github.com/plumb-gitops/plumb/internal/testtls"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// namespace is what a cluster holds in the namespace of a source.
type namespace struct {
	secrets  map[string]map[string][]byte
	accounts map[string]*cloud.ServiceAccount
}

// Secret implements fetch.Cluster.
func (n namespace) Secret(_ context.Context, name string) (map[string][]byte, error) {
	if data, ok := n.secrets[name]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("Secret/apps/%s not found", name)
}

// ServiceAccount implements fetch.Cluster.
func (n namespace) ServiceAccount(_ context.Context, name string) (*cloud.ServiceAccount, []string, error) {
	if account, ok := n.accounts[name]; ok {
		return account, nil, nil
	}
	return nil, nil, fmt.Errorf("ServiceAccount/apps/%s not found", name)
}

// Source implements fetch.Cluster.
func (namespace) Source(context.Context, string, string) (fetch.Object, source.Snapshot, error) {
	return nil, source.Snapshot{}, fmt.Errorf("there are no sources")
}

// HelmRepositories implements fetch.Cluster.
func (namespace) HelmRepositories(context.Context) ([]*sourcev1.HelmRepository, error) {
	return nil, nil
}

// data makes the data of a Secret.
func data(pairs ...string) map[string][]byte {
	out := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = []byte(pairs[i+1])
	}
	return out
}

// kindOf finds a kind among all, with a folder of the test's own.
func kindOf(t *testing.T, name string) fetch.Kind {
	t.Helper()
	backends, err := fetch.Open(t.TempDir(), fetch.Options{Limits: source.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range backends.Kinds {
		if kind.GVK().Kind == name {
			return kind
		}
	}
	t.Fatalf("there is no kind %s", name)
	return nil
}

// named refers to a Secret.
func named(name string) *meta.LocalObjectReference { return &meta.LocalObjectReference{Name: name} }

// ldap is a security token service, which gives jo the keys of a server.
func ldap(t *testing.T, server *testbucket.S3) (url string, ca []byte) {
	t.Helper()
	authority := testtls.New(t)
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("LDAPUsername") != "jo" || r.FormValue("LDAPPassword") != "planted" {
			http.Error(w, "who are you", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithLDAPIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithLDAPIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithLDAPIdentityResult></AssumeRoleWithLDAPIdentityResponse>`, server.Access, server.Secret)
	}))
	service.TLS = authority.Server(t)
	service.StartTLS()
	t.Cleanup(service.Close)
	return service.URL, authority.PEM
}

// through is an HTTP proxy.
func through(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestFieldsOfABucket(t *testing.T) {
	t.Parallel()
	files := map[string]string{"app/a.yaml": "a", "app/b.md": "b", "other/c.yaml": "c"}
	open, secure := testbucket.StartS3(t, testbucket.Options{}), testbucket.StartS3(t, testbucket.Options{TLS: true, ClientCert: true})
	for _, server := range []*testbucket.S3{open, secure} {
		server.Bucket(t, "manifests")
		server.Publish(t, "manifests", files)
	}
	azure, azureTLS := testbucket.StartBlob(t, testbucket.Options{}), testbucket.StartBlob(t, testbucket.Options{TLS: true})
	container := azure.Container(t, false)
	azure.Publish(t, container, files)
	service, ca := ldap(t, open)
	proxy, asked := through(t)
	certificates := secure.Transport()
	cluster := namespace{
		secrets: map[string]map[string][]byte{
			"keys": data("accesskey", open.Access, "secretkey", open.Secret), "bad-keys": data("accesskey", open.Access, "secretkey", "planted"), "no-keys": data("username", "planted"),
			"account": data("accountKey", testbucket.AccountKey), "sas": data("sasKey", azure.SAS(t, container)),
			"tls": {"ca.crt": certificates.CA, "tls.crt": certificates.Cert, "tls.key": certificates.Key}, "azure-ca": {"ca.crt": azureTLS.CA}, "half": data("tls.crt", "planted"),
			"proxy": data("address", proxy), "jo": data("username", "jo", "password", "planted"), "sts-ca": {"ca.crt": ca},
		},
		accounts: map[string]*cloud.ServiceAccount{"plain": {Namespace: "apps", Name: "plain"}},
	}
	plain := func(change func(*sourcev1.BucketSpec)) sourcev1.BucketSpec {
		s := sourcev1.BucketSpec{Endpoint: open.Address, BucketName: "manifests", Insecure: true, SecretRef: named("keys")}
		change(&s)
		return s
	}
	blobs := func(change func(*sourcev1.BucketSpec)) sourcev1.BucketSpec {
		s := sourcev1.BucketSpec{Provider: sourcev1.ProviderAzure, Endpoint: azure.URL, BucketName: container, Insecure: true, SecretRef: named("account")}
		change(&s)
		return s
	}
	nothing := func(*sourcev1.BucketSpec) {}
	sts := func(change func(*sourcev1.BucketSTSSpec)) func(*sourcev1.BucketSpec) {
		return func(s *sourcev1.BucketSpec) {
			s.SecretRef, s.STS = nil, &sourcev1.BucketSTSSpec{Provider: sourcev1.ProviderLDAP, Endpoint: service, SecretRef: named("jo"), CertSecretRef: named("sts-ca")}
			change(s.STS)
		}
	}
	for label, c := range map[string]struct {
		spec   sourcev1.BucketSpec
		files  int // in the folder app; 2 is all
		reason string
		text   string
	}{
		"secretRef":    {plain(nothing), 2, "", ""},
		"provider aws": {plain(func(s *sourcev1.BucketSpec) { s.Provider, s.Region = sourcev1.ProviderAWS, "us-east-1" }), 2, "", ""},
		"region":       {plain(func(s *sourcev1.BucketSpec) { s.Region = "eu-west-1" }), 0, sourcev1.BucketOperationFailedReason, "check spec.region"},
		"insecure":     {plain(func(s *sourcev1.BucketSpec) { s.Insecure = false }), 0, sourcev1.BucketOperationFailedReason, "allow it with spec.insecure"},
		"prefix":       {plain(func(s *sourcev1.BucketSpec) { s.Prefix = "app/a" }), 1, "", ""},
		"ignore":       {plain(func(s *sourcev1.BucketSpec) { s.Ignore = new("*.md") }), 1, "", ""},
		"endpoint":     {plain(func(s *sourcev1.BucketSpec) { s.Endpoint = "http://" + s.Endpoint }), 0, sourcev1.URLInvalidReason, "the endpoint is a host with its port"},
		"bucketName":   {plain(func(s *sourcev1.BucketSpec) { s.BucketName = "absent" }), 0, sourcev1.BucketOperationFailedReason, "bucket 'absent' does not exist"},
		"certSecretRef": {plain(func(s *sourcev1.BucketSpec) {
			s.Endpoint, s.Insecure, s.CertSecretRef = secure.Address, false, named("tls")
		}), 2, "", ""},
		"half of certSecretRef":     {plain(func(s *sourcev1.BucketSpec) { s.CertSecretRef = named("half") }), 0, sourcev1.AuthenticationFailedReason, "spec.certSecretRef: Secret half: tls.crt and tls.key are needed together"},
		"proxySecretRef":            {plain(func(s *sourcev1.BucketSpec) { s.ProxySecretRef = named("proxy") }), 2, "", ""},
		"wrong secretRef":           {plain(func(s *sourcev1.BucketSpec) { s.SecretRef = named("bad-keys") }), 0, sourcev1.AuthenticationFailedReason, "check the credentials"},
		"secretRef without keys":    {plain(func(s *sourcev1.BucketSpec) { s.SecretRef = named("no-keys") }), 0, sourcev1.AuthenticationFailedReason, "spec.secretRef: Secret no-keys: it needs the keys accesskey and secretkey"},
		"absent secretRef":          {plain(func(s *sourcev1.BucketSpec) { s.SecretRef = named("absent") }), 0, sourcev1.AuthenticationFailedReason, "spec.secretRef: Secret/apps/absent not found"},
		"sts":                       {plain(sts(func(*sourcev1.BucketSTSSpec) {})), 2, "", ""},
		"sts of another provider":   {plain(sts(func(s *sourcev1.BucketSTSSpec) { s.Provider = sourcev1.ProviderAWS })), 0, sourcev1.InvalidSTSConfigurationReason, "spec.sts.provider is 'aws'"},
		"sts without certSecretRef": {plain(sts(func(s *sourcev1.BucketSTSSpec) { s.CertSecretRef = nil })), 0, sourcev1.AuthenticationFailedReason, "spec.sts: " + service},
		"sts with wrong secretRef":  {plain(sts(func(s *sourcev1.BucketSTSSpec) { s.SecretRef = named("keys") })), 0, sourcev1.AuthenticationFailedReason, "spec.sts.secretRef: Secret keys: it needs the keys username and password"},
		"serviceAccountName, aws": {plain(func(s *sourcev1.BucketSpec) {
			s.Provider, s.SecretRef, s.ServiceAccountName = sourcev1.ProviderAWS, nil, "plain"
		}), 0, sourcev1.AuthenticationFailedReason, "ServiceAccount/apps/plain lacks the annotations eks.amazonaws.com/role-arn"},
		"serviceAccountName, gcp": {plain(func(s *sourcev1.BucketSpec) {
			s.Provider, s.SecretRef, s.ServiceAccountName = sourcev1.ProviderGCP, nil, "plain"
		}), 0, sourcev1.URLInvalidReason, "a token is not sent over plain HTTP"},
		"absent serviceAccountName": {plain(func(s *sourcev1.BucketSpec) {
			s.Provider, s.SecretRef, s.ServiceAccountName = sourcev1.ProviderAWS, nil, "absent"
		}), 0, sourcev1.AuthenticationFailedReason, "spec.serviceAccountName: ServiceAccount/apps/absent not found"},
		"secretRef of Google":      {plain(func(s *sourcev1.BucketSpec) { s.Provider = sourcev1.ProviderGCP }), 0, sourcev1.AuthenticationFailedReason, "it has no key serviceaccount"},
		"azure":                    {blobs(nothing), 2, "", ""},
		"azure, SAS":               {blobs(func(s *sourcev1.BucketSpec) { s.SecretRef = named("sas") }), 2, "", ""},
		"azure, prefix and ignore": {blobs(func(s *sourcev1.BucketSpec) { s.Prefix, s.Ignore = "app/", new("a.yaml") }), 1, "", ""},
		"azure, certSecretRef": {blobs(func(s *sourcev1.BucketSpec) {
			s.Endpoint, s.Insecure, s.CertSecretRef = azureTLS.URL, false, named("azure-ca")
		}), 2, "", ""},
		"azure, proxySecretRef":     {blobs(func(s *sourcev1.BucketSpec) { s.ProxySecretRef = named("proxy") }), 2, "", ""},
		"azure, insecure":           {blobs(func(s *sourcev1.BucketSpec) { s.Insecure = false }), 0, sourcev1.URLInvalidReason, "allow it with spec.insecure"},
		"azure, secretRef":          {blobs(func(s *sourcev1.BucketSpec) { s.SecretRef = named("keys") }), 0, sourcev1.AuthenticationFailedReason, "it needs accountKey, or sasKey"},
		"azure, serviceAccountName": {blobs(func(s *sourcev1.BucketSpec) { s.SecretRef, s.ServiceAccountName = nil, "plain" }), 0, sourcev1.AuthenticationFailedReason, "lacks the annotations azure.workload.identity/client-id"},
		"azure, no such bucketName": {blobs(func(s *sourcev1.BucketSpec) { s.BucketName = "absent" }), 0, sourcev1.BucketOperationFailedReason, "container 'absent' does not exist"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			kind, obj := kindOf(t, sourcev1.BucketKind), &sourcev1.Bucket{Spec: c.spec}
			obj.Namespace, obj.Name = "apps", "manifests"
			before := asked.Load()
			found, err := kind.Fetch(t.Context(), cluster, obj, source.Snapshot{})
			if c.reason != "" {
				if err == nil || fetch.Reason(err, kind.Failure()) != c.reason || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "planted") {
					t.Errorf("got %v, want %s: %s", err, c.reason, c.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if entries, err := found.Tree.List("app"); err != nil || len(entries) != c.files {
				t.Errorf("it holds %v, %v, want %d files", entries, err, c.files)
			}
			if c.spec.ProxySecretRef != nil && asked.Load() == before {
				t.Error("nothing went through the proxy")
			}
			wantOpen(t, kind, obj, found)
		})
	}
}

// wantOpen checks that what the status says leads back to the snapshot.
func wantOpen(t *testing.T, kind fetch.Kind, obj *sourcev1.Bucket, found source.Snapshot) {
	t.Helper()
	obj.Status.Artifact = &meta.Artifact{Revision: found.Revision, URL: "http://artifacts/bucket/apps/manifests/1.tar.gz"}
	if reason, message := kind.Succeeded(obj, found); reason != meta.SucceededReason || message != "stored artifact for revision '"+found.Revision+"'" {
		t.Errorf("it says %s: %s", reason, message)
	}
	if obj.Status.ObservedIgnore != obj.Spec.Ignore || obj.Status.URL != "http://artifacts/bucket/apps/manifests/latest.tar.gz" {
		t.Errorf("the status is %+v", obj.Status)
	}
	again, err := kind.Open(t.Context(), namespace{}, obj)
	if err != nil || again.Revision != found.Revision || again.Digest != found.Digest {
		t.Errorf("it opens as %s %s, %v, want %s %s", again.Revision, again.Digest, err, found.Revision, found.Digest)
	}
}
