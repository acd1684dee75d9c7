package git

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/proxy"

	"github.com/plumb-gitops/plumb/source"
	sourcetransport "github.com/plumb-gitops/plumb/source/transport"
)

// sha2 are the signatures of RSA keys that do not rest on SHA-1, in the order of
// preference. (A key of type ssh-rsa makes all three kinds, RFC 8332.)
var sha2 = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}

// CheckAlgorithms tells whether the algorithms of SSH in the options exist. The
// error names the flag.
func (o Options) CheckAlgorithms() error {
	known, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, list := range []struct {
		flag         string
		asked, known []string
	}{
		{"--ssh-hostkey-algos", o.SSHHostKeyAlgorithms, slices.Concat(known.HostKeys, insecure.HostKeys)},
		{"--ssh-kex-algos", o.SSHKexAlgorithms, slices.Concat(known.KeyExchanges, insecure.KeyExchanges)},
	} {
		for _, name := range list.asked {
			if !slices.Contains(list.known, name) {
				return fmt.Errorf("%s: there is no algorithm %q: want some of %s", list.flag, name, strings.Join(list.known, ", "))
			}
		}
	}
	return nil
}

// hostKeyAlgorithms are those to ask a server for, of the ones that known_hosts
// has a key for. What rests on SHA-1 has to be asked for by name.
func (s *Store) hostKeyAlgorithms(known []string) []string {
	allowed := s.options.SSHHostKeyAlgorithms
	var out []string
	for _, name := range known {
		if len(allowed) == 0 && name != ssh.KeyAlgoRSA && name != ssh.InsecureKeyAlgoDSA || slices.Contains(allowed, name) {
			out = append(out, name)
		}
	}
	if out == nil && len(known) > 0 {
		return allowed // so that the server is asked for what is allowed, not for anything
	}
	return out
}

// withoutSHA1 is the key, held to signatures that do not rest on SHA-1 unless
// --ssh-hostkey-algos names ssh-rsa.
func (s *Store) withoutSHA1(signer ssh.Signer) (ssh.Signer, error) {
	able, ok := signer.(ssh.AlgorithmSigner)
	if !ok || signer.PublicKey().Type() != ssh.KeyAlgoRSA || slices.Contains(s.options.SSHHostKeyAlgorithms, ssh.KeyAlgoRSA) {
		return signer, nil
	}
	return ssh.NewSignerWithAlgorithms(able, sha2)
}

// disagreement says that we and the server have no algorithm in common, and what
// to set.
func disagreement(e *ssh.AlgorithmNegotiationError) string {
	offered := strings.Join(e.RequestedAlgorithms, ", ")
	switch {
	case strings.Contains(e.What, "key exchange"):
		return fmt.Sprintf("the server offers the key exchanges %s, none of which is allowed: name one in --ssh-kex-algos", offered)
	case strings.Contains(e.What, "host key") && slices.Contains(e.RequestedAlgorithms, ssh.KeyAlgoRSA) &&
		!slices.ContainsFunc(sha2, func(name string) bool { return slices.Contains(e.RequestedAlgorithms, name) }):
		return "the server's host key comes with ssh-rsa signatures only, which rest on SHA-1: have it offer rsa-sha2-512 or rsa-sha2-256, " +
			"or allow it by naming ssh-rsa in --ssh-hostkey-algos"
	case strings.Contains(e.What, "host key"):
		return fmt.Sprintf("the server offers the host key algorithms %s, none of which is allowed and has a key in known_hosts: "+
			"add what ssh-keyscan prints for it, or set --ssh-hostkey-algos", offered)
	}
	return fmt.Sprintf("the server offers only %s as %s", offered, e.What)
}

// dialFunc opens connections.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// sshDialer connects straight, or through a proxy. Only SOCKS5 carries any protocol.
func sshDialer(address string, p *sourcetransport.Proxy) (dialFunc, error) {
	if p == nil {
		return (&net.Dialer{}).DialContext, nil
	}
	u, err := url.Parse(p.Address)
	if err != nil || u.Scheme != "socks5" {
		return nil, unusable(address, "ssh goes through SOCKS5 proxies only: write address in spec.proxySecretRef as socks5://host:port")
	}
	var auth *proxy.Auth
	if p.Username != "" || p.Password != "" {
		auth = &proxy.Auth{User: p.Username, Password: p.Password}
	}
	dialer, err := proxy.SOCKS5("tcp", u.Host, auth, &net.Dialer{})
	if err != nil {
		return nil, err
	}
	through, ok := dialer.(proxy.ContextDialer)
	if !ok {
		return nil, &source.InvalidError{Err: fmt.Errorf("%s: the proxy cannot be used", address)}
	}
	return through.DialContext, nil
}
