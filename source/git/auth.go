package git

import (
	"context"
	"errors"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// Auth is what proves to a server who we are, and to us who the server is.
type Auth struct {
	Username         string // http, https
	Password         string // http, https
	BearerToken      string // http, https; instead of Username and Password
	Identity         []byte // ssh: private key, PEM
	IdentityPassword string // ssh: passphrase of Identity, if it has one
	KnownHosts       []byte // ssh: host keys, in the format of OpenSSH's known_hosts
}

// Login gets credentials from a provider of them.
type Login func(ctx context.Context) (Auth, error)

// AuthFromSecret reads credentials from a Secret's data, with the keys that the
// toolkit documents: username and password, or bearerToken, for http and https;
// identity and known_hosts for ssh, where password is the passphrase of identity.
// (identity.pub may be there too; nothing needs it.) A Secret may also hold
// nothing but certificates, which package transport reads.
func AuthFromSecret(data map[string][]byte) (Auth, error) {
	a := Auth{Username: string(data["username"]), Password: string(data["password"]), BearerToken: string(data["bearerToken"])}
	switch {
	case len(data["identity"]) > 0 && len(data["known_hosts"]) == 0:
		return Auth{}, errors.New("it has the key identity, but not known_hosts, without which the server cannot be told from an impostor: " +
			"put the output of ssh-keyscan there")
	case len(data["identity"]) > 0:
		return Auth{
			Identity:         data["identity"],
			IdentityPassword: a.Password,
			KnownHosts:       data["known_hosts"],
			Username:         a.Username,
		}, nil
	case a.BearerToken != "" && (a.Username != "" || a.Password != ""):
		return Auth{}, errors.New("it has both bearerToken and username or password: remove what the server does not ask for")
	case a.Username == "" && a.Password == "" && a.BearerToken == "" && !hasCertificates(data):
		return Auth{}, errors.New("it has neither username and password nor bearerToken (http, https) nor identity and known_hosts (ssh)")
	}
	return a, nil
}

// hasCertificates tells whether a Secret is of use for TLS.
func hasCertificates(data map[string][]byte) bool {
	for _, key := range []string{"ca.crt", "caFile", "tls.crt", "certFile"} {
		if len(data[key]) > 0 {
			return true
		}
	}
	return false
}

// proof is the credentials for http. It is nil where there is nothing to say; a
// typed nil would be sent. go-git takes them away where a redirect leads to
// another host.
func proof(u *url.URL, a Auth) transport.AuthMethod {
	if a.BearerToken != "" {
		return &githttp.TokenAuth{Token: a.BearerToken}
	}
	if a.Password != "" || a.Username != "" && len(a.Identity) == 0 {
		return &githttp.BasicAuth{Username: a.Username, Password: a.Password}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		return &githttp.BasicAuth{Username: u.User.Username(), Password: password}
	}
	return nil
}
