package bucket

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/objects"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Providers of buckets. Generic is whatever speaks S3.
const (
	Generic = "generic"
	AWS     = "aws"
	GCP     = "gcp"
)

// Spec names a bucket and how to get in.
type Spec struct {
	Provider  string // Generic, AWS or GCP; "" is Generic
	Endpoint  string // host[:port]
	Bucket    string
	Prefix    string  // of the keys that are wanted
	Region    string  // "" asks the server
	Insecure  bool    // speaks plain HTTP
	Ignore    *string // spec.ignore, nil when it is not set
	Owner     string  // who fetches: owners share nothing
	Transport transport.Options

	Keys Keys
	STS  *STS
	// Identity is whose credentials the cloud's provider gives where there are no Keys:
	// those of a service account, else of the environment and the machine.
	Identity cloud.Options
}

// Keys are credentials that do not change. With none of them the bucket is public,
// or there is another way to some.
type Keys struct {
	Access, Secret, Session string
	Google                  []byte // key of a service account of Google Cloud, in JSON
}

// KeysFromSecret reads the data of a Secret for a provider. The error is a
// *source.InvalidError that names the keys which are needed.
func KeysFromSecret(provider string, data map[string][]byte) (Keys, error) {
	if provider == GCP {
		if len(data["serviceaccount"]) == 0 {
			return Keys{}, invalid("it has no key serviceaccount, the key of a service account in JSON")
		}
		return Keys{Google: data["serviceaccount"]}, cloud.CheckGoogleKey(data["serviceaccount"])
	}
	k := Keys{Access: string(data["accesskey"]), Secret: string(data["secretkey"]), Session: string(data["sessiontoken"])}
	if k.Access == "" || k.Secret == "" {
		return Keys{}, invalid("it needs the keys accesskey and secretkey")
	}
	return k, nil
}

// Providers of an STS.
const (
	STSAWS  = "aws"
	STSLDAP = "ldap"
)

// STS is a service that gives credentials for a limited time.
type STS struct {
	Provider           string // STSAWS or STSLDAP
	Endpoint           string // URL
	Username, Password string // for STSLDAP
	Transport          transport.Options
}

// LDAPFromSecret reads username and password for an STS from the data of a Secret.
func LDAPFromSecret(data map[string][]byte, s *STS) error {
	s.Username, s.Password = string(data["username"]), string(data["password"])
	if s.Username == "" || s.Password == "" {
		return invalid("it needs the keys username and password")
	}
	return nil
}

// address is what errors lead with.
func (s Spec) address() string { return s.scheme() + "://" + s.Endpoint + "/" + s.Bucket }

func (s Spec) scheme() string {
	if s.Insecure {
		return "http"
	}
	return "https"
}

// region is what requests are signed for, "" to ask the server. Those with a token are
// not signed, and who may read a bucket of Google's may not ask where it is.
func (s Spec) region() string {
	if s.Provider == GCP {
		return cmp.Or(s.Region, "auto")
	}
	return s.Region
}

// valid tells what in a spec cannot be meant.
func (s Spec) valid() error {
	u, err := url.Parse("//" + s.Endpoint)
	if err != nil || u.Host == "" || u.Host != s.Endpoint || strings.Contains(s.Endpoint, "@") {
		return invalid("%s: the endpoint is a host with its port, as in s3.example.com:9000, without https:// and path", shown(s.Endpoint))
	}
	if _, _, err := net.SplitHostPort(s.Endpoint); err != nil && strings.HasSuffix(s.Endpoint, ":") {
		return invalid("%s: the endpoint's port is missing", s.Endpoint)
	}
	if s.Bucket == "" || strings.Contains(s.Bucket, "/") {
		return invalid("%s: the bucket's name is empty or has a slash", s.Endpoint)
	}
	return nil
}

// shown is an endpoint that is none, without what may be secret in it.
func shown(endpoint string) string {
	if strings.ContainsAny(endpoint, "@?#") {
		return "(an endpoint with credentials)"
	}
	return endpoint
}

// wanted is what the fetcher is to know of a spec.
func (s Spec) wanted() objects.Spec {
	return objects.Spec{Location: "s3\x00" + s.address() + "\x00" + s.Prefix, Owner: s.Owner, Ignore: s.Ignore}
}

// identity tells sessions apart.
func (s Spec) identity() string {
	return objects.Identity(s.Provider, s.address(), s.Region, s.Transport, s.Keys, s.STS, s.Identity.Name())
}

func invalid(format string, args ...any) error {
	return &source.InvalidError{Err: fmt.Errorf(format, args...)}
}

// errPlainHTTP says that the server does not speak TLS.
var errPlainHTTP = errors.New("the server speaks plain HTTP: allow it with spec.insecure")
