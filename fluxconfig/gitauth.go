package fluxconfig

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed" // known_hosts
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/crypto/ssh"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// knownHosts has the keys that the big hosts publish, see known_hosts_test.go for
// where.
//
//go:embed known_hosts
var knownHosts string

// keyBits is the size of a key that is made. It is of RSA, because Azure DevOps
// takes nothing else.
const keyBits = 4096

// NeedsKey tells whether a key pair is to be made: the source is reached by SSH,
// and nobody gives a key.
func NeedsKey(fc *clusterconfigv1.FluxConfig, protected map[string][]byte) bool {
	r := fc.Spec.GitRepository
	return fc.Spec.SourceKind == clusterconfigv1.GitRepositorySource && r != nil && r.LocalAuthRef == "" &&
		isSSH(canonical(r.URL)) && len(protected[clusterconfigv1.SSHPrivateKey]) == 0
}

func isSSH(address string) bool { return strings.HasPrefix(address, "ssh://") }

// NewKey makes a key pair, in PEM. It takes seconds.
func NewKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// PublicKey is the public half of the key that the source is asked with, as an
// authorized_keys file has it; "" when there is none.
func PublicKey(fc *clusterconfigv1.FluxConfig, in Inputs) string {
	r := fc.Spec.GitRepository
	if fc.Spec.SourceKind != clusterconfigv1.GitRepositorySource || r == nil || r.LocalAuthRef != "" || !isSSH(canonical(r.URL)) {
		return ""
	}
	key := in.Protected[clusterconfigv1.SSHPrivateKey]
	if len(key) == 0 {
		key = in.Key
	}
	public, err := publicHalf(key)
	if err != nil {
		return "" // Generate says so
	}
	return public
}

// publicHalf says of a key that can't be used no more than that.
func publicHalf(key []byte) (string, error) {
	signer, err := ssh.ParsePrivateKey(key)
	if _, sealed := errors.AsType[*ssh.PassphraseMissingError](err); sealed {
		return "", errors.New("the private key has a passphrase: give one without, or a Secret with both by localAuthRef")
	}
	if err != nil {
		return "", errors.New("the private key cannot be read: give it in PEM")
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

// gitAuth is the data of the Secret of a GitRepository, nil when there is nothing
// to put into it.
func (g *generation) gitAuth(r *clusterconfigv1.GitRepositoryDefinition, address string) (map[string][]byte, error) {
	if isSSH(address) {
		return g.sshAuth(r, address)
	}
	data := map[string][]byte{}
	if r.HTTPSCACert != "" {
		ca, err := decoded("gitRepository.httpsCACert", r.HTTPSCACert)
		if err != nil {
			return nil, g.invalid("%w", err)
		}
		data["ca.crt"] = ca
	}
	user := []byte(r.HTTPSUser)
	if len(user) == 0 {
		user = g.in.Protected[clusterconfigv1.HTTPSUser]
	}
	key := g.in.Protected[clusterconfigv1.HTTPSKey]
	switch {
	case len(key) == 0 && len(user) > 0:
		return nil, g.invalid("a user needs a password: give the protected parameter %s", clusterconfigv1.HTTPSKey)
	case len(key) > 0 && len(user) == 0:
		user = []byte("git") // hosts that take a token take it with any name
	}
	if len(key) > 0 {
		data["username"], data["password"] = user, key
	}
	return data, nil
}

func (g *generation) sshAuth(r *clusterconfigv1.GitRepositoryDefinition, address string) (map[string][]byte, error) {
	hosts, err := g.hosts(r, address)
	if err != nil {
		return nil, err
	}
	key := g.in.Protected[clusterconfigv1.SSHPrivateKey]
	if len(key) == 0 {
		key = g.in.Key
	}
	if len(key) == 0 {
		return nil, g.invalid("no key to reach %s with: give the protected parameter %s", address, clusterconfigv1.SSHPrivateKey)
	}
	public, err := publicHalf(key)
	if err != nil {
		return nil, g.invalid("%w", err)
	}
	if NeedsKey(g.fc, g.in.Protected) {
		g.beside = append(g.beside, g.secret(KeyName(g.fc), map[string][]byte{KeyEntry: key, PublicEntry: []byte(public)}))
	}
	return map[string][]byte{KeyEntry: key, PublicEntry: []byte(public), "known_hosts": hosts}, nil
}

// hosts are the keys of the server: those that are given, or that are built in.
func (g *generation) hosts(r *clusterconfigv1.GitRepositoryDefinition, address string) ([]byte, error) {
	if r.SSHKnownHosts != "" {
		out, err := decoded("gitRepository.sshKnownHosts", r.SSHKnownHosts)
		if err != nil {
			return nil, g.invalid("%w", err)
		}
		return out, nil
	}
	server, err := url.Parse(address)
	if err != nil {
		return nil, g.invalid("gitRepository.url is no address: use the form ssh://user@host/path")
	}
	var lines strings.Builder
	for line := range strings.Lines(knownHosts) {
		if name, _, _ := strings.Cut(line, " "); name == server.Hostname() && (server.Port() == "" || server.Port() == "22") {
			lines.WriteString(line)
		}
	}
	if lines.Len() == 0 {
		return nil, g.invalid("the keys of %s are not built in: give in gitRepository.sshKnownHosts what ssh-keyscan prints for it, in base64", server.Host)
	}
	return []byte(lines.String()), nil
}
