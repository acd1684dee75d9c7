package oci

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Spec is what to fetch.
type Spec struct {
	URL       string // oci://host[:port]/path, without tag or digest
	Ref       Ref
	Layer     LayerSelector
	Ignore    *string // spec.ignore, nil when it is not set
	Insecure  bool    // allows plain HTTP
	Transport transport.Options
	Auth      Auth
	Login     *Login // takes the place of Auth
	Verify    *Verify
}

// Ref selects an artifact of the repository. What comes first here goes before
// what follows; with none of them it is the tag "latest".
type Ref struct {
	Digest       string // sha256:<hex>
	SemVer       string // a range of versions; the highest tag in it is taken
	SemVerFilter string // regular expression that those tags match
	Tag          string
}

// Operations of a LayerSelector.
const (
	Extract = "extract"
	Copy    = "copy"
)

// LayerSelector selects a layer of the artifact, and what becomes of it.
type LayerSelector struct {
	MediaType string // "" for the first layer
	Operation string // Extract or Copy; "" is Extract
}

func (l LayerSelector) copies() bool { return l.Operation == Copy }

func (l LayerSelector) valid() error {
	switch l.Operation {
	case "", Extract, Copy:
		return nil
	}
	return invalid("layerSelector.operation is %q: it can be %s or %s", l.Operation, Extract, Copy)
}

// Login gets credentials for a registry from elsewhere, such as a cloud's
// identity service.
type Login struct {
	// As names whose credentials these are: those of one name are asked for once and
	// shared. Without a name nothing is shared.
	As string
	// Get is asked before each use after expires; it gets the registry's host.
	Get func(ctx context.Context, host string) (username, password string, expires time.Time, err error)
}

// repository is what the URL names.
func (s Spec) repository() (name.Repository, error) {
	path, ok := strings.CutPrefix(s.URL, "oci://")
	address := transport.Redacted(s.URL)
	if !ok {
		return name.Repository{}, invalid("%s: the URL begins with oci://, as in oci://host/repository", address)
	}
	if strings.ContainsAny(path, "@?#") {
		return name.Repository{}, invalid("%s: the URL holds neither credentials nor a digest: use spec.secretRef and spec.ref", address)
	}
	options := []name.Option{name.WeakValidation}
	if s.Insecure {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(strings.TrimSuffix(path, "/"), options...)
	if err != nil {
		return name.Repository{}, invalid("%s: %w: write it as oci://host/repository, without a tag", address, err)
	}
	return repo, nil
}

// tagName is what the distribution specification allows.
var tagName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

func invalid(format string, args ...any) error {
	return &source.InvalidError{Err: fmt.Errorf(format, args...)}
}

func notFound(text string) error { return &source.NotFoundError{Err: errors.New(text)} }
