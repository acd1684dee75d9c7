package kube

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func fromSecret(cluster, user string) []byte {
	return []byte(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: "https://k.example", ` + cluster + `}}]
users: [{name: u, user: {` + user + `}}]
`)
}

func TestKubeconfigsOutOfSecrets(t *testing.T) {
	t.Parallel()
	run := `exec: {command: planted-program, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}`
	tests := []struct {
		name    string
		content []byte
		options RemoteOptions
		want    string // "" when it can be used
	}{
		{"a token", fromSecret("", "token: planted"), RemoteOptions{}, ""},
		{"no YAML", []byte("planted: ["), RemoteOptions{}, "not a kubeconfig"},
		{"no context", []byte("apiVersion: v1\nkind: Config\n"), RemoteOptions{}, "leads to no cluster"},
		{"a program", fromSecret("", run), RemoteOptions{}, "--insecure-kubeconfig-exec"},
		{"a program that is allowed", fromSecret("", run), RemoteOptions{AllowExec: true}, ""},
		{"a token in a file", fromSecret("", "tokenFile: /planted"), RemoteOptions{}, "names files"},
		{"a key in a file", fromSecret("", "client-key: /planted, client-certificate: /planted"), RemoteOptions{}, "names files"},
		{"an authority in a file", fromSecret("certificate-authority: /planted", "token: planted"), RemoteOptions{}, "names a file"},
		{"no verification", fromSecret("insecure-skip-tls-verify: true", "token: planted"), RemoteOptions{}, "--insecure-kubeconfig-tls"},
		{"no verification that is allowed", fromSecret("insecure-skip-tls-verify: true", "token: planted"), RemoteOptions{AllowInsecure: true}, ""},
	}
	for _, test := range tests {
		_, err := RemoteConfig(test.content, test.options)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "planted")):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	var users, tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		users = append(users, r.Header.Get("Impersonate-User"))
		tokens = append(tokens, r.Header.Get("Authorization"))
		http.NotFound(w, r)
	}))
	defer server.Close()
	base, err := Connect(TokenConfig(server.URL, nil, func() (string, error) { return "t", nil }, RemoteOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	as, err := base.As(ServiceAccount("apps", "deployer"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Cluster{base, as} {
		answer, err := c.HTTP.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	if got := strings.Join(users, ","); got != ",system:serviceaccount:apps:deployer" {
		t.Errorf("asked as %q", got)
	}
	if got := strings.Join(tokens, ","); got != "Bearer t,Bearer t" {
		t.Errorf("with %q", got)
	}
	if as.Mapper() != base.Mapper() {
		t.Error("the mapping is not shared")
	}
}
