package testproxy

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeconfigOf is a kubeconfig of a server.
func kubeconfigOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}]\nusers: [{name: u, user: {token: t}}]\n",
		server.URL, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOneRequestGoesWrong(t *testing.T) {
	t.Parallel()
	var seen []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
	}))
	defer server.Close()
	proxy, through := New(t, kubeconfigOf(t, server), Rule{Match: func(r *http.Request) bool { return r.URL.Path == "/b" }, Fault: TooMany})
	config, err := clientcmd.BuildConfigFromFlags("", through)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		path string
		code int
	}{{"/a", 200}, {"/b", 429}, {"/b", 200}} {
		answer, err := client.Get(config.Host + want.path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want.code {
			t.Errorf("%s: status %d, want %d", want.path, answer.StatusCode, want.code)
		}
	}
	if !proxy.Hit() || len(seen) != 2 || seen[0] != "Bearer t" {
		t.Errorf("the server saw %q", seen)
	}
}
