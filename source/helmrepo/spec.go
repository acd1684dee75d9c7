package helmrepo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/transport"
)

// TypeOCI is the type of repositories in OCI registries.
const TypeOCI = "oci"

// Spec names a repository and how to get in.
type Spec struct {
	URL                string // http, https or oci
	Type               string // "", "default" or TypeOCI
	Username, Password string // basic authentication
	// PassCredentials sends the credentials wherever the index or a redirect leads,
	// instead of to the scheme, host and port of URL only.
	PassCredentials bool
	Transport       transport.Options
	// Keyring holds OpenPGP public keys, each plain or armored. Where it is set, charts
	// need a provenance file that one of them signed.
	Keyring [][]byte

	// The rest is for registries. Auth stands beside Username and Password.
	Insecure bool
	Auth     oci.Auth
	Login    *oci.Login
	Verify   *oci.Verify
}

// AuthFromSecret reads username and password out of the data of a Secret. One with
// neither is left to transport.TLSFromSecret; one of the two alone is a
// *source.InvalidError.
func AuthFromSecret(data map[string][]byte) (username, password string, err error) {
	username, password = string(data["username"]), string(data["password"])
	if (username == "") != (password == "") {
		return "", "", invalid("the Secret has one of username and password: both are needed")
	}
	return username, password, nil
}

func (s Spec) inRegistry() bool { return s.Type == TypeOCI || strings.HasPrefix(s.URL, "oci://") }

// base is the URL that charts are relative to.
func (s Spec) base() (*url.URL, error) {
	base, err := url.Parse(s.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, invalid("%s: the URL begins with https://, http:// or oci:// and names a host", transport.Redacted(s.URL))
	}
	if base.User != nil {
		return nil, invalid("%s: the URL holds no credentials: use spec.secretRef", transport.Redacted(s.URL))
	}
	base.Path, base.RawPath, base.Fragment = strings.TrimSuffix(base.Path, "/")+"/", "", ""
	return base, nil
}

// index is where the index is.
func (s Spec) index() (*url.URL, error) {
	base, err := s.base()
	if err != nil {
		return nil, err
	}
	return resolve(base, "index.yaml")
}

// resolve makes an address of an index absolute. As with Helm, what is relative
// keeps the query of the repository's URL, which may hold a token.
func resolve(base *url.URL, address string) (*url.URL, error) {
	to, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the index leads to %s: it cannot be parsed", transport.Redacted(address))
	}
	if to.IsAbs() {
		return to, nil
	}
	to = base.ResolveReference(to)
	if to.RawQuery == "" {
		to.RawQuery = base.RawQuery
	}
	return to, nil
}

// identity tells apart what may not be shared: what one sees with its credentials,
// or through its proxy, is nothing for the others. It is a hash since these are secret.
func (s Spec) identity() string {
	all, err := json.Marshal([]any{s.URL, s.Username, s.Password, s.PassCredentials, s.Transport})
	if err != nil {
		panic(err) // strings, bytes and booleans only
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

func invalid(format string, args ...any) error {
	return &source.InvalidError{Err: fmt.Errorf(format, args...)}
}
