package source

import (
	"errors"
	"fmt"
	"io/fs"
)

// The errors that backends return where the cause is one of these; the engine
// decides by them what happens next. Any other error is tried again. Their texts
// lead with the address of the source, without credentials.

// AuthError says that the server did not let us in, or could not prove who it
// is. Other credentials help.
type AuthError struct{ Err error }

func (e *AuthError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *AuthError) Unwrap() error { return e.Err }

// NotFoundError says that the server has no such branch, tag, bucket, chart or
// version. It may have one later.
type NotFoundError struct{ Err error }

func (e *NotFoundError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *NotFoundError) Unwrap() error { return e.Err }

// InvalidError says that the spec cannot be meant like this. Only another one
// helps.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// VerifyError says that the content is not signed by whom the spec trusts. It is
// not used.
type VerifyError struct{ Err error }

func (e *VerifyError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *VerifyError) Unwrap() error { return e.Err }

// LimitError says that content exceeds a bound that a flag sets.
type LimitError struct {
	What  string // which thing is too large, e.g. "the archive"
	Limit int64
	Unit  string // "bytes", "files" and the like
	Flag  string // of `plumb run`, with its dashes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s exceeds %d %s: allow more with %s, or bring less", e.What, e.Limit, e.Unit, e.Flag)
}

// ErrDamaged says that something that was stored cannot be read any more, or is
// not what it was. Fetching it again heals that. It is fs.ErrNotExist as well.
var ErrDamaged error = damaged{}

type damaged struct{}

func (damaged) Error() string { return "the stored content is damaged" }

// Is implements errors.Is.
func (damaged) Is(target error) bool { return target == fs.ErrNotExist }

// IsLost tells whether an error means that stored content is gone or damaged, so
// that it has to be fetched again.
func IsLost(err error) bool { return errors.Is(err, fs.ErrNotExist) }
