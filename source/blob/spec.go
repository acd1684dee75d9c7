package blob

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/objects"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Spec names a container and how to get in.
type Spec struct {
	Endpoint  string // URL of the account; its query may hold a SAS token
	Container string
	Prefix    string  // of the names that are wanted
	Insecure  bool    // allows plain HTTP
	Ignore    *string // spec.ignore, nil when it is not set
	Owner     string  // who fetches: owners share nothing
	Transport transport.Options

	Auth Auth
	// Identity is whose credentials Azure gives where Auth has none: those of a service
	// account, else of the environment and the machine. A container that needs none is
	// read without.
	Identity cloud.Options
}

// Auth is credentials. What comes first here is used.
type Auth struct {
	Identity   *cloud.AzureIdentity
	AccountKey string // base64
	SAS        string // the token, with or without its question mark
}

func (a Auth) none() bool { return a.Identity == nil && a.AccountKey == "" && a.SAS == "" }

// AuthFromSecret reads the data of a Secret. The error is a *source.InvalidError that
// names the keys which are needed.
func AuthFromSecret(data map[string][]byte) (Auth, error) {
	id, ok, err := cloud.AzureIdentityFromSecret(data)
	if err != nil {
		return Auth{}, err
	}
	a := Auth{AccountKey: string(data["accountKey"]), SAS: string(data["sasKey"])}
	if ok {
		a.Identity = &id
	}
	if a.none() {
		return Auth{}, invalid("it needs accountKey, or sasKey, or clientId for a managed identity, or tenantId, clientId and clientSecret or clientCertificate")
	}
	if a.SAS != "" {
		if _, err := url.ParseQuery(strings.TrimPrefix(a.SAS, "?")); err != nil {
			return Auth{}, invalid("sasKey is no SAS token, which looks like sv=...&sig=...")
		}
	}
	return a, nil
}

// address is what errors lead with.
func (s Spec) address() string {
	return strings.TrimSuffix(transport.Redacted(s.Endpoint), "/") + "/" + s.Container
}

// container is the container's URL, with the SAS token if there is one.
func (s Spec) container() (*url.URL, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, invalid("%s: the endpoint is the URL of the account, as in https://ACCOUNT.blob.core.windows.net", transport.Redacted(s.Endpoint))
	}
	if u.Scheme == "http" && !s.Insecure {
		return nil, invalid("%s: the connection would be plain HTTP: allow it with spec.insecure", s.address())
	}
	if s.Container == "" || strings.Contains(s.Container, "/") {
		return nil, invalid("%s: the container's name is empty or has a slash", s.address())
	}
	query := u.Query()
	if s.Auth.Identity == nil && s.Auth.AccountKey == "" && s.Auth.SAS != "" {
		own, err := url.ParseQuery(strings.TrimPrefix(s.Auth.SAS, "?"))
		if err != nil {
			return nil, invalid("%s: the SAS token cannot be parsed", s.address())
		}
		for name, values := range own {
			query[name] = values
		}
	}
	u.RawQuery = query.Encode()
	return u.JoinPath(s.Container), nil
}

// account is the account's name: the first name of the path, as emulators have it,
// else that of the host.
func account(u *url.URL) string {
	if path := strings.Split(strings.Trim(u.Path, "/"), "/"); len(path) > 1 {
		return path[0]
	}
	name, _, _ := strings.Cut(u.Hostname(), ".")
	return name
}

// wanted is what the fetcher is to know of a spec.
func (s Spec) wanted() objects.Spec {
	return objects.Spec{Location: "azure\x00" + s.address() + "\x00" + s.Prefix, Owner: s.Owner, Ignore: s.Ignore}
}

// identity tells sessions apart.
func (s Spec) identity() string {
	return objects.Identity(s.Endpoint, s.Container, s.Insecure, s.Transport, s.Auth, s.Identity.Name())
}

func invalid(format string, args ...any) error {
	return &source.InvalidError{Err: fmt.Errorf(format, args...)}
}
