package oci

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Auth holds credentials for registries.
type Auth struct {
	Username, Password string
	// PullSecrets are files as Kubernetes keeps them for pulling images: credentials
	// by registry, or by registry and path.
	PullSecrets [][]byte
}

// AuthFromSecret reads credentials from the data of a Secret: .dockerconfigjson,
// .dockercfg, or username and password. The error is a *source.InvalidError.
func AuthFromSecret(data map[string][]byte) (Auth, error) {
	var a Auth
	if file := data[".dockerconfigjson"]; len(file) > 0 {
		a.PullSecrets = append(a.PullSecrets, file)
	}
	if file := data[".dockercfg"]; len(file) > 0 {
		wrapped, err := json.Marshal(map[string]json.RawMessage{"auths": file})
		if err != nil {
			return Auth{}, invalid("the Secret's .dockercfg is not JSON")
		}
		a.PullSecrets = append(a.PullSecrets, wrapped)
	}
	a.Username, a.Password = string(data["username"]), string(data["password"])
	if len(a.PullSecrets) == 0 && a.Username == "" {
		return Auth{}, invalid("the Secret has no key .dockerconfigjson: make it with kubectl create secret docker-registry")
	}
	_, err := a.entries()
	return a, err
}

// entry is one line of pull secrets.
type entry struct {
	host, path string
	config     authn.AuthConfig
}

func (a Auth) entries() ([]entry, error) {
	var all []entry
	for _, file := range a.PullSecrets {
		var parsed struct {
			Auths map[string]authn.AuthConfig `json:"auths"`
		}
		if json.Unmarshal(file, &parsed) != nil { // its text would show the content
			return nil, invalid("the pull secret is not of the form of kubernetes.io/dockerconfigjson")
		}
		for key, config := range parsed.Auths {
			e := entry{config: config}
			e.host, e.path = place(key)
			all = append(all, e)
		}
	}
	return all, nil
}

// place reads the key of an entry: "ghcr.io", "https://index.docker.io/v1/",
// "registry.example.com:5000/team", "*.azurecr.io".
func place(key string) (host, path string) {
	_, rest, ok := strings.Cut(key, "://")
	if !ok {
		rest = key
	}
	host, path, _ = strings.Cut(rest, "/")
	switch host {
	case "docker.io", "registry-1.docker.io":
		host = name.DefaultRegistry
	}
	path = strings.Trim(path, "/")
	if path == "v1" || path == "v2" {
		path = ""
	}
	return host, path
}

// covers tells whether an entry is for a repository: the host matches by label,
// where "*" stands for any text, and the path is the repository's or above it.
func (e entry) covers(host, repository string) bool {
	labels, pattern := strings.Split(host, "."), strings.Split(e.host, ".")
	if len(labels) != len(pattern) {
		return false
	}
	for i := range labels {
		if ok, err := path.Match(pattern[i], labels[i]); !ok || err != nil {
			return false
		}
	}
	return e.path == "" || repository == e.path || strings.HasPrefix(repository, e.path+"/")
}

// choose is the entry for a repository: the most specific path, then a host
// without "*", then the first by host.
func choose(all []entry, host, repository string) (authn.AuthConfig, bool) {
	var best *entry
	for i, e := range all {
		if e.covers(host, repository) && (best == nil || e.before(*best)) {
			best = &all[i]
		}
	}
	if best == nil {
		return authn.AuthConfig{}, false
	}
	return best.config, true
}

func (e entry) before(o entry) bool {
	if len(e.path) != len(o.path) {
		return len(e.path) > len(o.path)
	}
	if wild := strings.Contains(e.host, "*"); wild != strings.Contains(o.host, "*") {
		return !wild
	}
	return e.host < o.host
}

// keychain gives the library the credentials of a spec.
type keychain struct {
	auth  Auth
	all   []entry
	login *login
}

func (s Spec) credentials(repo name.Repository) (authn.Keychain, error) {
	if s.Login != nil {
		return &keychain{login: &login{source: *s.Login, host: repo.RegistryStr()}}, nil
	}
	all, err := s.Auth.entries()
	return &keychain{auth: s.Auth, all: all}, err
}

// Resolve implements authn.Keychain.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	if k.login != nil {
		return k.login, nil
	}
	if k.auth.Username != "" {
		return authn.FromConfig(authn.AuthConfig{Username: k.auth.Username, Password: k.auth.Password}), nil
	}
	repository := strings.TrimPrefix(strings.TrimPrefix(target.String(), target.RegistryStr()), "/")
	if config, ok := choose(k.all, target.RegistryStr(), repository); ok {
		return authn.FromConfig(config), nil
	}
	return authn.Anonymous, nil
}

// login keeps the credentials of a Login for as long as they hold.
type login struct {
	source Login
	host   string

	mu      sync.Mutex
	config  *authn.AuthConfig
	expires time.Time
}

// margin is how long before their end credentials count as expired, so that they
// still hold when the registry sees them.
const margin = time.Minute

// Authorization implements authn.Authenticator. The library asks with a context.
func (*login) Authorization() (*authn.AuthConfig, error) {
	return nil, errors.New("log in: no context")
}

// AuthorizationContext implements authn.ContextAuthenticator.
func (l *login) AuthorizationContext(ctx context.Context) (*authn.AuthConfig, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.config != nil && time.Now().Before(l.expires.Add(-margin)) {
		return l.config, nil
	}
	username, password, expires, err := l.source.Get(ctx, l.host)
	if err != nil {
		return nil, err
	}
	l.config, l.expires = &authn.AuthConfig{Username: username, Password: password}, expires
	return l.config, nil
}
