package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	registry "github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/transport"
)

// LayerError says that an artifact has not the layer that is asked for. Another spec
// helps, or another artifact.
type LayerError struct{ Err error }

func (e *LayerError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *LayerError) Unwrap() error { return e.Err }

// errPlainHTTP says that somebody would have us talk in the clear.
var errPlainHTTP = errors.New("the connection would be plain HTTP: allow it with spec.insecure")

// classified puts an error into words: what happened where, and the way out.
func classified(ctx context.Context, address string, err error) error {
	var status *registry.Error
	switch {
	case transport.IsTyped(err) || ctx.Err() != nil || !errors.As(err, &status):
		return transport.Classified(ctx, address, plain(err))
	default:
		return answered(address, status)
	}
}

// plain says of a registry that speaks plain HTTP how to allow that.
func plain(err error) error {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("the registry speaks plain HTTP: allow it with spec.insecure")
	}
	return err
}

// answered is the error for an answer of the registry, in words of ours: its own
// may hold identifiers that differ each time.
func answered(address string, e *registry.Error) error {
	text := fmt.Sprintf("%s: the registry answers with status %d", address, e.StatusCode)
	if len(e.Errors) > 0 {
		text += fmt.Sprintf(" (%s)", e.Errors[0].Code)
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return &source.AuthError{Err: errors.New(text + ": check the credentials, and that they may pull from this repository")}
	case http.StatusNotFound:
		return &source.NotFoundError{Err: errors.New(text)}
	default:
		return errors.New(text)
	}
}
