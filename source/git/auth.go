package git

import (
	"errors"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// Auth is what proves to a server who we are, and to us who the server is.
type Auth struct {
	Username         string // http, https
	Password         string // http, https
	Identity         []byte // ssh: private key, PEM
	IdentityPassword string // ssh: passphrase of Identity, if it has one
	KnownHosts       []byte // ssh: host keys, in the format of OpenSSH's known_hosts
}

// AuthFromSecret reads credentials from a Secret's data, with the keys that the
// toolkit documents: username and password for http and https; identity and
// known_hosts for ssh, where password is the passphrase of identity.
// (identity.pub may be there too; nothing needs it.)
func AuthFromSecret(data map[string][]byte) (Auth, error) {
	if len(data["identity"]) > 0 {
		if len(data["known_hosts"]) == 0 {
			return Auth{}, errors.New("it has the key identity, but not known_hosts, without which the server cannot be told from an impostor: " +
				"put the output of ssh-keyscan there")
		}
		return Auth{
			Identity:         data["identity"],
			IdentityPassword: string(data["password"]),
			KnownHosts:       data["known_hosts"],
			Username:         string(data["username"]),
		}, nil
	}
	if len(data["username"]) == 0 && len(data["password"]) == 0 {
		return Auth{}, errors.New("it has neither username and password (http, https) nor identity and known_hosts (ssh)")
	}
	return Auth{Username: string(data["username"]), Password: string(data["password"])}, nil
}

// basic is the credentials for http. It is nil where there is nothing to say; a
// typed nil would be sent.
func basic(u *url.URL, a Auth) transport.AuthMethod {
	if a.Password != "" || a.Username != "" && len(a.Identity) == 0 {
		return &githttp.BasicAuth{Username: a.Username, Password: a.Password}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		return &githttp.BasicAuth{Username: u.User.Username(), Password: password}
	}
	return nil
}
