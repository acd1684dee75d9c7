package cloud_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plumb-gitops/plumb/source/cloud"
)

// sent are the forms that a login endpoint was sent; tests that share an
// endpoint log in at the same time.
type sent struct {
	sync.Mutex
	forms []url.Values
}

func (s *sent) add(form url.Values) {
	s.Lock()
	defer s.Unlock()
	s.forms = append(s.forms, form)
}

func (s *sent) all() []url.Values {
	s.Lock()
	defer s.Unlock()
	return slices.Clone(s.forms)
}

// login is the login endpoint of every provider: it takes the token of the
// service account and gives one of its own.
func login(t *testing.T) (server *httptest.Server, forms *sent) {
	t.Helper()
	forms = &sent{}
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "no form", http.StatusBadRequest)
			return
		}
		switch {
		case strings.Contains(r.URL.Path, "openid-configuration"):
			fmt.Fprintf(w, `{"token_endpoint":"%[1]s/tenant/oauth2/v2.0/token","authorization_endpoint":"%[1]s/tenant/a","issuer":"%[1]s/tenant/v2.0"}`, "https://"+r.Host)
		case r.Form.Get("Action") == "AssumeRoleWithWebIdentity":
			forms.add(r.Form)
			fmt.Fprint(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AKID</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
		case strings.HasSuffix(r.Header.Get("X-Amz-Target"), "GetAuthorizationToken"):
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":4070908800}]}`, base64.StdEncoding.EncodeToString([]byte("AWS:theirs")))
		case r.URL.Path == "/oauth2/exchange":
			if r.Form.Get("access_token") != "theirs" || r.Form.Get("service") != r.Host {
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			fmt.Fprint(w, `{"refresh_token":"the registry's"}`)
		default:
			forms.add(r.Form)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"theirs","token_type":"Bearer","expires_in":3600,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`)
		}
	}))
	t.Cleanup(server.Close)
	return server, forms
}

func account(annotations map[string]string) *cloud.ServiceAccount {
	return &cloud.ServiceAccount{Namespace: "apps", Name: "deployer", Annotations: annotations, Token: func(_ context.Context, audience string) (string, error) {
		return "ours for " + audience, nil
	}}
}

var (
	azureAccount = map[string]string{"azure.workload.identity/client-id": "client", "azure.workload.identity/tenant-id": "tenant"}
	awsAccount   = map[string]string{"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/deployer"}
	gcpAccount   = map[string]string{"gcp.auth.fluxcd.io/workload-identity-provider": "projects/1/locations/global/workloadIdentityPools/p/providers/k"}
)

const eksCluster = "arn:aws:eks:eu-west-1:1:cluster/production"

func TestTokensForClusters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		provider, cluster string
		annotations       map[string]string
		field, sent       string
		want              func(token string) bool
	}{
		{"azure", "", azureAccount, "client_assertion", "ours for api://AzureADTokenExchange", func(token string) bool { return token == "theirs" }},
		{"gcp", "", gcpAccount, "subject_token", "ours for //iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k", func(token string) bool { return token == "theirs" }},
		{"aws", eksCluster, awsAccount, "WebIdentityToken", "ours for sts.amazonaws.com", func(token string) bool {
			raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "k8s-aws-v1."))
			text := string(raw)
			return err == nil && strings.HasPrefix(text, "https://sts.eu-west-1.amazonaws.com/?") && strings.Contains(text, "x-k8s-aws-id") && strings.Contains(text, "AKID") && !strings.Contains(text, "secret")
		}},
	}
	for _, test := range tests {
		t.Run(test.provider, func(t *testing.T) {
			t.Parallel()
			server, forms := login(t)
			o := cloud.Options{ServiceAccount: account(test.annotations), HTTP: server.Client(), AzureAuthority: server.URL + "/", AWSEndpoint: server.URL, GCPTokenURL: server.URL}
			ask, err := cloud.ClusterToken(t.Context(), test.provider, test.cluster, o)
			if err != nil {
				t.Fatal(err)
			}
			token, err := ask(t.Context())
			if err != nil || !test.want(token) {
				t.Fatalf("token %q, %v", token, err)
			}
			if got := forms.all(); len(got) != 1 || got[0].Get(test.field) != test.sent {
				t.Errorf("the provider was sent %v", got)
			}
		})
	}
}

// TestAzureCluster: Azure says where a cluster is, to whom it trusts.
func TestAzureCluster(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/"
	kubeconfig := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://c.example.com:443', certificate-authority-data: Y2E=}}]\n"
	server, _ := login(t)
	management := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]string{id + "there": kubeconfig, id + "empty": "", id + "plain": "clusters: [{cluster: {server: 'http://c'}}]"}
		text, ok := answer[strings.TrimSuffix(r.URL.Path, "/listClusterUserCredential")]
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer theirs" || r.URL.Query().Get("api-version") == "" || !ok {
			http.Error(w, "planted", http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"kubeconfigs": []any{map[string]any{"name": "clusterUser", "value": []byte(text)}}})
	}))
	t.Cleanup(management.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	pool.AddCert(management.Certificate())
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	o := cloud.Options{ServiceAccount: account(azureAccount), HTTP: trusting, AzureAuthority: server.URL + "/", AzureManagement: management.URL}
	address, ca, err := cloud.AzureCluster(t.Context(), id+"there", o)
	if err != nil || address != "https://c.example.com:443" || string(ca) != "ca" {
		t.Errorf("it is at %q, signed by %q, %v", address, ca, err)
	}
	for cluster, want := range map[string]string{
		id + "empty": "without an address", id + "plain": "without an address", id + "absent": "status 403: check the id",
		"production": "is no resource id", "/subscriptions/s/resourceGroups/g": "is no resource id",
	} {
		if _, _, err := cloud.AzureCluster(t.Context(), cluster, o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v, want %q", cluster, err, want)
		}
	}
	o.ServiceAccount = account(nil)
	if _, _, err := cloud.AzureCluster(t.Context(), id+"there", o); err == nil || !strings.Contains(err.Error(), "lacks the annotations") {
		t.Errorf("%v", err)
	}
}

func TestAccountsThatLackTheirAnnotations(t *testing.T) {
	t.Parallel()
	for provider, annotation := range map[string]string{"azure": "azure.workload.identity/client-id", "aws": "eks.amazonaws.com/role-arn", "gcp": "gcp.auth.fluxcd.io/workload-identity-provider"} {
		_, err := cloud.ClusterToken(t.Context(), provider, eksCluster, cloud.Options{ServiceAccount: account(nil)})
		if err == nil || !strings.HasPrefix(err.Error(), "ServiceAccount/apps/deployer lacks") || !strings.Contains(err.Error(), annotation) {
			t.Errorf("%s: %v", provider, err)
		}
	}
	if _, err := cloud.ClusterToken(t.Context(), "aws", "production", cloud.Options{}); err == nil || !strings.Contains(err.Error(), "arn:aws:eks:") {
		t.Errorf("%v", err)
	}
	if _, err := cloud.ClusterToken(t.Context(), "other", "", cloud.Options{}); err == nil || !strings.Contains(err.Error(), "want aws, azure, gcp or generic") {
		t.Errorf("%v", err)
	}
}

func TestRegistryLogin(t *testing.T) {
	t.Parallel()
	server, _ := login(t)
	local := strings.TrimPrefix(server.URL, "https://")
	for name, c := range map[string]struct {
		provider, host           string
		annotations              map[string]string
		username, password, fail string
	}{
		"azure":                {"azure", local, azureAccount, "00000000-0000-0000-0000-000000000000", "the registry's", ""},
		"gcp":                  {"gcp", "europe-docker.pkg.dev", gcpAccount, "oauth2accesstoken", "theirs", ""},
		"aws":                  {"aws", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", awsAccount, "AWS", "theirs", ""},
		"aws, somewhere else":  {"aws", "ghcr.io", awsAccount, "", "", "is no host of Amazon's registries"},
		"azure, not annotated": {"azure", local, nil, "", "", "lacks the annotations"},
		"no such provider":     {"other", local, nil, "", "", "there is no provider"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := cloud.Options{ServiceAccount: account(c.annotations), HTTP: server.Client(), AzureAuthority: server.URL + "/", AWSEndpoint: server.URL, GCPTokenURL: server.URL}
			username, password, expires, err := cloud.RegistryLogin(t.Context(), c.provider, c.host, o)
			if c.fail != "" {
				if err == nil || !strings.Contains(err.Error(), c.fail) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || username != c.username || password != c.password || !expires.After(time.Now()) {
				t.Errorf("got %q, %q until %s, %v", username, password, expires, err)
			}
		})
	}
}
