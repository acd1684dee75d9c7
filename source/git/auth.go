package git

import (
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// Auth is what proves to a server who we are.
type Auth struct {
	Username   string
	Password   string // or the passphrase of Identity
	Identity   []byte // private key, PEM
	KnownHosts []byte // in the format of OpenSSH
}

// AuthFromSecret reads credentials from a Secret's data, with the keys that the
// toolkit documents: username and password for http and https; identity,
// known_hosts and, as its passphrase, password for ssh.
func AuthFromSecret(data map[string][]byte) (Auth, error) {
	a := Auth{Username: string(data["username"]), Password: string(data["password"]), Identity: data["identity"], KnownHosts: data["known_hosts"]}
	if len(a.Identity) > 0 {
		if len(a.KnownHosts) == 0 {
			return Auth{}, errors.New("it has the key identity, but not known_hosts, without which the server cannot be told from an impostor")
		}
		return a, nil
	}
	if a.Username == "" && a.Password == "" {
		return Auth{}, errors.New("it has neither username and password (http, https) nor identity and known_hosts (ssh)")
	}
	return a, nil
}

// method is the credentials in the form in which the transport takes them.
func (s *Store) method(u *url.URL, a Auth) (transport.AuthMethod, error) {
	switch u.Scheme {
	case "http", "https":
		return basic(u, a), nil
	case "ssh":
		return s.sshKey(u, a)
	case "file":
		if s.options.AllowFile {
			return nil, nil
		}
		return nil, &InvalidURL{redacted(u.String()), "file URLs are off; --allow-file-urls allows them"}
	default:
		return nil, &InvalidURL{redacted(u.String()), fmt.Sprintf("scheme %q is not supported: use https, http or ssh", u.Scheme)}
	}
}

// basic is nil where there is nothing to say; a typed nil would be sent.
func basic(u *url.URL, a Auth) transport.AuthMethod {
	if a.Username != "" || a.Password != "" {
		return &githttp.BasicAuth{Username: a.Username, Password: a.Password}
	}
	if password, ok := u.User.Password(); ok {
		return &githttp.BasicAuth{Username: u.User.Username(), Password: password}
	}
	return nil
}

func (s *Store) sshKey(u *url.URL, a Auth) (transport.AuthMethod, error) {
	if len(a.Identity) == 0 {
		return nil, &AuthError{redacted(u.String()), errors.New("ssh needs a Secret with the keys identity and known_hosts")}
	}
	user := u.User.Username()
	if user == "" {
		user = "git"
	}
	keys, err := gitssh.NewPublicKeys(user, a.Identity, a.Password)
	if err != nil {
		return nil, &AuthError{redacted(u.String()), fmt.Errorf("the private key in identity cannot be used: %w", err)}
	}
	known, err := s.knownHosts(a.KnownHosts)
	if err != nil {
		return nil, err
	}
	keys.HostKeyCallback = known.HostKeyCallback
	return keys, nil
}

// knownHosts loads the hosts from a file, since that is the only way in; they
// are no secret.
func (s *Store) knownHosts(content []byte) (known gitssh.HostKeyCallbackHelper, err error) {
	file, err := os.CreateTemp(s.dir, "known_hosts-")
	if err != nil {
		return known, fmt.Errorf("write known_hosts: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return known, fmt.Errorf("write known_hosts: %w", err)
	}
	known.HostKeyCallback, err = gitssh.NewKnownHostsCallback(file.Name())
	if err != nil {
		return known, errors.New("known_hosts of the Secret cannot be read: give lines as ssh-keyscan prints them")
	}
	return known, nil
}
