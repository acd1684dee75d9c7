// Package fetch knows what the objects of each kind of source mean: which
// backend of package source brings their content, from where, with whose
// credentials, and what their status says afterwards. One file per kind.
//
// It reads no object itself: what a spec names, it asks a Cluster for.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// Object is an object of a kind of source.
type Object interface {
	client.Object
	sourcev1.Source
}

// Cluster gives what the spec of an object names, all of it in the object's own
// namespace. An error says which object is not there. What was asked for wakes the
// object when it changes.
type Cluster interface {
	// Secret is the data of a Secret.
	Secret(ctx context.Context, name string) (map[string][]byte, error)
	// ServiceAccount is an account that others can be asked to trust; pulls names
	// its Secrets for registries.
	ServiceAccount(ctx context.Context, name string) (account *cloud.ServiceAccount, pulls []string, err error)
	// Source is another source with its snapshot, the zero Snapshot while it has none.
	Source(ctx context.Context, kind, name string) (Object, source.Snapshot, error)
	// HelmRepositories are all of the namespace, sorted by name.
	HelmRepositories(ctx context.Context) ([]*sourcev1.HelmRepository, error)
}

// Kind is one kind of source. Its methods are safe for concurrent use.
type Kind interface {
	// GVK is the kind with the version that is stored.
	GVK() schema.GroupVersionKind
	// New makes an empty object.
	New() Object
	// Fetch brings what the spec means now. last is what is in use, the zero
	// Snapshot when nothing is. Errors are those of package source where it is one
	// of these, or an *Error.
	Fetch(ctx context.Context, c Cluster, obj Object, last source.Snapshot) (source.Snapshot, error)
	// Open brings what was fetched before, as the status says, without any server
	// but the cluster's.
	Open(ctx context.Context, c Cluster, obj Object) (source.Snapshot, error)
	// Succeeded notes in the status what of the spec the snapshot is about, and
	// says with which reason and words the object is Ready.
	Succeeded(obj Object, s source.Snapshot) (reason, message string)
	// Failure is the reason of a failure that has none of its own.
	Failure() string
}

// Error is a failure with a reason of the API.
type Error struct {
	Reason string
	Err    error
	On     string // what has to come first, as Kind/namespace/name; "" for nothing
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reason is the reason of an error: its own, or the one that its cause stands
// for, else fallback.
func Reason(err error, fallback string) string {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own.Reason
	case errors.As(err, new(*source.AuthError)):
		return sourcev1.AuthenticationFailedReason
	case errors.As(err, new(*source.VerifyError)):
		return sourcev1.VerificationErrorReason
	default:
		return fallback
	}
}

// Final tells whether only another spec, or another Secret, can help.
func Final(err error) bool { return errors.As(err, new(*source.InvalidError)) }

// failed gives an error a reason.
func failed(reason string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Reason: reason, Err: err}
}

// badAddress gives what is wrong with a spec the reason that the toolkit has for
// addresses. Other errors stay as they are.
func badAddress(err error) error {
	if Final(err) {
		return failed(sourcev1.URLInvalidReason, err)
	}
	return err
}

// stored is how most kinds say that they are Ready.
func stored(s source.Snapshot) (reason, message string) {
	return meta.SucceededReason, fmt.Sprintf("stored artifact for revision '%s'", s.Revision)
}

// latest is the address that always leads to the artifact in use, beside the
// artifact's own.
func latest(a *meta.Artifact) string {
	if a == nil {
		return ""
	}
	return a.URL[:strings.LastIndex(a.URL, "/")+1] + "latest.tar.gz"
}
