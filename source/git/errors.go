package git

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// AuthError says that the server did not let us in. Other credentials help.
type AuthError struct {
	URL string // without credentials
	Err error
}

// Error implements error.
func (e *AuthError) Error() string {
	return fmt.Sprintf("%s: authentication failed: %v: check the Secret in spec.secretRef", e.URL, e.Err)
}

// Unwrap gives the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// RefNotFound says that the repository has no such reference.
type RefNotFound struct {
	URL  string
	What string
}

// Error implements error.
func (e *RefNotFound) Error() string { return e.URL + ": " + e.What }

// InvalidURL says that the address cannot be used. Only another one helps.
type InvalidURL struct {
	URL    string
	Reason string
}

// Error implements error.
func (e *InvalidURL) Error() string { return fmt.Sprintf("%s: %s", e.URL, e.Reason) }

// redacted is the address without user and password.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be parsed)"
	}
	u.User = nil
	return u.String()
}

// classified puts an error of the transport into words, without credentials.
func classified(ctx context.Context, address string, err error) error {
	clean := redacted(address)
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), strings.Contains(err.Error(), "unable to authenticate"):
		return &AuthError{URL: clean, Err: errors.New(scrub(address, err))}
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%s: repository not found, or not visible with these credentials", clean)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return &RefNotFound{URL: clean, What: "the repository has no commits"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer within spec.timeout", clean)
	default:
		return fmt.Errorf("%s: %s", clean, scrub(address, err))
	}
}

// scrub takes the credentials of an address out of an error's text.
func scrub(address string, err error) string {
	text := err.Error()
	u, perr := url.Parse(address)
	if perr != nil || u.User == nil {
		return text
	}
	text = strings.ReplaceAll(text, u.User.String()+"@", "")
	if password, ok := u.User.Password(); ok && password != "" {
		text = strings.ReplaceAll(text, password, "***")
	}
	return text
}
