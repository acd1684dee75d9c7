package scenario_test

import (
	"encoding/base64"
	"net/http/httptest"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/internal/testtls"
)

func base64Of(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

// ssh NAME REPO: serves a repository over SSH at $NAME_URL. The key that is let in is
// in $NAME_KEY, the server's line of known_hosts in $NAME_HOSTS, both in base64.
func (s *script) ssh(args []string) {
	server, err := testgit.StartSSH(s.TB().Context(), s.TB().TempDir())
	s.ts.Check(err)
	s.TB().Cleanup(server.Stop)
	s.sshServers[args[0]] = server
	s.set(args[0]+"_URL", server.URL(s.repos[args[1]].Git("remote", "get-url", "origin")))
	s.set(args[0]+"_KEY", base64Of(server.Identity))
	s.set(args[0]+"_HOSTS", base64Of(server.KnownHosts))
}

// letin NAME FLUXCONFIG: lets in, over SSH, whom a FluxConfig made a key for.
func (s *script) letIn(args []string) {
	public := ""
	s.Until(s.ref(args[1]), "it tells a public key", func(obj *unstructured.Unstructured) bool {
		if obj != nil {
			public, _, _ = unstructured.NestedString(obj.Object, "status", "repositoryPublicKey")
		}
		return public != ""
	})
	s.ts.Check(s.sshServers[args[0]].LetIn(public))
}

// https NAME REPO: serves a repository with TLS at $NAME_URL, to the user reader with
// the password planted-git-password. Its authority is in $NAME_CA, in base64.
func (s *script) https(args []string) {
	handler, err := testgit.Handler(filepath.Dir(s.repos[args[1]].Git("remote", "get-url", "origin")))
	s.ts.Check(err)
	ca := testtls.New(s.TB())
	server := httptest.NewUnstartedServer(testgit.BasicAuth(handler, "reader", "planted-git-password"))
	server.TLS = ca.Server(s.TB())
	server.StartTLS()
	s.TB().Cleanup(server.Close)
	s.set(args[0]+"_URL", server.URL+"/"+args[1]+".git")
	s.set(args[0]+"_CA", base64Of(ca.PEM))
}
