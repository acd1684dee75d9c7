// Package testregistry runs real OCI registries on loopback for tests: that of
// the Distribution project, as scripts/registry.sh builds it.
package testregistry

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/bcrypt"

	"github.com/plumb-gitops/plumb/internal/testtls"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Options of a registry. The zero value speaks plain HTTP and lets everybody in.
type Options struct {
	TLS        bool // speak TLS, with a certificate of Registry.CA for localhost and 127.0.0.1
	ClientCert bool // with TLS: let in only who has a certificate of Registry.CA
	// Username and Password are who is let in, by basic authentication; or, with
	// Token, by a token that a server beside it gives them. Token needs TLS.
	Username, Password string
	Token              bool
}

// Registry is a registry that runs until its test ends.
type Registry struct {
	Address string // host:port
	CA      []byte // PEM; of the server's certificate
	options Options
	client  *http.Transport
	tokens  *tokenServer
	pair    testtls.Pair // for clients
}

// Start starts a registry with nothing in it.
func Start(tb testing.TB, o Options) *Registry {
	tb.Helper()
	ca := testtls.New(tb)
	r := &Registry{CA: ca.PEM, options: o, pair: ca.Issue(tb, "client")}
	dir := tb.TempDir()
	config := "version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {inmemory: {}, delete: {enabled: true}}\nhttp:\n  addr: 127.0.0.1:0\n"
	if o.TLS {
		server := ca.Issue(tb, "localhost")
		config += fmt.Sprintf("  tls: {certificate: %q, key: %q%s}\n",
			save(tb, dir, "server.crt", server.Cert), save(tb, dir, "server.key", server.Key), clientCAs(tb, dir, o, ca))
	}
	switch {
	case o.Token:
		r.tokens = startTokens(tb, ca, o)
		config += fmt.Sprintf("auth: {token: {realm: %q, service: registry, issuer: tests, rootcertbundle: %q}}\n",
			r.tokens.url, save(tb, dir, "tokens.crt", r.tokens.signer.Cert))
	case o.Username != "":
		hashed, err := bcrypt.GenerateFromPassword([]byte(o.Password), bcrypt.MinCost)
		check(tb, err)
		config += fmt.Sprintf("auth: {htpasswd: {realm: registry, path: %q}}\n", save(tb, dir, "htpasswd", fmt.Appendf(nil, "%s:%s\n", o.Username, hashed)))
	}
	r.Address = serve(tb, save(tb, dir, "config.yaml", []byte(config)))
	client, err := transport.New(r.Transport())
	check(tb, err)
	r.client = client
	tb.Cleanup(client.CloseIdleConnections)
	return r
}

func clientCAs(tb testing.TB, dir string, o Options, ca *testtls.Authority) string {
	if !o.ClientCert {
		return ""
	}
	return fmt.Sprintf(", clientcas: [%q]", save(tb, dir, "clients.crt", ca.PEM))
}

// Transport is what a client needs to reach the registry.
func (r *Registry) Transport() transport.Options {
	if !r.options.TLS {
		return transport.Options{}
	}
	o := transport.Options{CA: r.CA}
	if r.options.ClientCert {
		o.Cert, o.Key = r.pair.Cert, r.pair.Key
	}
	return o
}

// Repository names a repository of the registry.
func (r *Registry) Repository(tb testing.TB, path string) name.Repository {
	tb.Helper()
	var options []name.Option
	if !r.options.TLS {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(r.Address+"/"+path, options...)
	check(tb, err)
	return repo
}

// Remote are the options for a client of the library with all rights.
func (r *Registry) Remote() []remote.Option {
	options := []remote.Option{remote.WithTransport(r.client)}
	if r.options.Username != "" {
		options = append(options, remote.WithAuth(&authn.Basic{Username: r.options.Username, Password: r.options.Password}))
	}
	return options
}

// listening is the line with which the registry says that it is there.
var listening = regexp.MustCompile(`listening on ([0-9.]+:[0-9]+)`)

// serve starts the program and returns its address.
func serve(tb testing.TB, config string) string {
	tb.Helper()
	cmd := exec.Command(binary(tb), "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	output, err := cmd.StderrPipe()
	check(tb, err)
	check(tb, cmd.Start())
	var last strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				_, _ = io.Copy(io.Discard, output)
			}()
			tb.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-drained
				_ = cmd.Wait()
			})
			return found[1]
		}
		last.WriteString(lines.Text() + "\n")
	}
	tb.Fatalf("the registry does not start: %v\n%s", cmd.Wait(), last.String())
	return ""
}

// binary is the program, in the folder for tools of this checkout.
func binary(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	check(tb, err)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("the test does not run in a checkout")
		}
	}
	file := filepath.Join(dir, ".dev", "bin", "registry")
	if _, err := os.Stat(file); err != nil {
		tb.Fatalf("%v: build it with sh scripts/registry.sh", err)
	}
	return file
}

func save(tb testing.TB, dir, file string, content []byte) string {
	tb.Helper()
	path := filepath.Join(dir, file)
	check(tb, os.WriteFile(path, content, 0o600))
	return path
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
