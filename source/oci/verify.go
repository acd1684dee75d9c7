package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plumb-gitops/plumb/source"
)

// Providers of Verify.
const (
	Cosign   = "cosign"
	Notation = "notation"
)

// Verify says who may have signed an artifact. The signature is on the manifest,
// so it covers all layers.
type Verify struct {
	Provider string // Cosign or Notation
	// Keys are public keys in PEM by name, for Cosign; one of them has signed. With
	// none the signature is keyless: it comes with a certificate of Fulcio.
	Keys map[string][]byte
	// Identities are those whom keyless signatures are accepted from; one fits. With
	// none it is anybody who has such a certificate, as in the toolkit.
	Identities []Identity
	// TrustRoot is a trusted_root.json, which takes the place of the public Sigstore
	// instance. Nothing but the registry is asked then.
	TrustRoot []byte
	// TrustPolicy is a trustpolicy.json, and Certificates are authorities in PEM by
	// name, for Notation. They stand in every trust store that the policy names.
	TrustPolicy  []byte
	Certificates map[string][]byte
}

// Identity matches a keyless signature by regular expressions, which need not
// match the whole text.
type Identity struct {
	Issuer  string // who vouches, such as https://token.actions.githubusercontent.com
	Subject string // for whom: an email address or a URL
}

// trustRootKey is the key of spec.verify.trustedRootSecretRef.
const trustRootKey = "trusted_root.json"

// VerifyFromSecret reads what to verify with from the data of the Secret that
// spec.verify.secretRef names: for Cosign the keys *.pub, for Notation
// trustpolicy.json and the authorities *.pem and *.crt. The error is a
// *source.InvalidError.
func VerifyFromSecret(provider string, data map[string][]byte) (Verify, error) {
	v := Verify{Provider: provider, Keys: map[string][]byte{}, Certificates: map[string][]byte{}}
	for name, content := range data {
		switch extension := path.Ext(name); {
		case provider == Cosign && extension == ".pub":
			v.Keys[name] = content
		case provider == Notation && (extension == ".pem" || extension == ".crt"):
			v.Certificates[name] = content
		case provider == Notation && name == "trustpolicy.json":
			v.TrustPolicy = content
		}
	}
	switch {
	case provider == Cosign && len(v.Keys) == 0:
		return Verify{}, invalid("the Secret has no public key: its keys end in .pub")
	case provider == Notation && (len(v.TrustPolicy) == 0 || len(v.Certificates) == 0):
		return Verify{}, invalid("the Secret needs the key trustpolicy.json and an authority, its key ending in .pem or .crt")
	}
	return v, nil
}

// TrustRootFromSecret reads the trust root from the data of the Secret that
// spec.verify.trustedRootSecretRef names. The error is a *source.InvalidError.
func TrustRootFromSecret(data map[string][]byte) ([]byte, error) {
	if len(data[trustRootKey]) == 0 {
		return nil, invalid("the Secret has no key %s", trustRootKey)
	}
	_, err := readTrustRoot(data[trustRootKey])
	return data[trustRootKey], err
}

// errNotASignature says that something is where signatures are, and is none.
var errNotASignature = errors.New("it is not a signature")

// mostSignatures bounds how many signatures of an artifact are looked at.
const mostSignatures = 64

// verified says in words who signed an artifact. What was found out once, with
// the same keys and identities, is not found out again.
func (c *Client) verified(ctx context.Context, r *repository, v *Verify, digest v1.Hash) (string, error) {
	if found, err := c.verifiedBefore(r.name.String(), v, digest); err == nil {
		return found, nil
	}
	found, err := c.verify(ctx, r, v, digest)
	if err != nil {
		return "", err
	}
	return found, c.store.SaveNote(v.key(r.name.String(), digest), []byte(found))
}

func (c *Client) verify(ctx context.Context, r *repository, v *Verify, digest v1.Hash) (string, error) {
	switch v.Provider {
	case Cosign:
		return c.verifyCosign(ctx, r, v, digest)
	case Notation:
		return verifyNotation(ctx, r, v, digest)
	}
	return "", invalid("verify.provider is %q: it can be %s or %s", v.Provider, Cosign, Notation)
}

// verifiedBefore is what was found out before. The error wraps fs.ErrNotExist
// when nothing was.
func (c *Client) verifiedBefore(repo string, v *Verify, digest v1.Hash) (string, error) {
	if v == nil {
		return "", nil
	}
	found, err := c.store.LoadNote(v.key(repo, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not verified: %w", digest, fs.ErrNotExist)
	}
	return string(found), err
}

// key names the note about an artifact and this way of verifying.
func (v *Verify) key(repo string, digest v1.Hash) string {
	all, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and bytes only
	}
	sum := sha256.Sum256(all)
	return key("verified", repo, digest.String(), hex.EncodeToString(sum[:]))
}

// unverified is the error when no signature fits: those that were looked at say
// why, in their order.
func unverified(digest v1.Hash, tried []error) error {
	if len(tried) == 0 {
		return &source.VerifyError{Err: fmt.Errorf("%s is not signed: sign it, or leave out spec.verify", digest)}
	}
	var reasons []string
	for _, err := range tried {
		if text := err.Error(); !slices.Contains(reasons, text) {
			reasons = append(reasons, text)
		}
	}
	return &source.VerifyError{Err: fmt.Errorf("%s has no signature that spec.verify accepts: %s", digest, strings.Join(reasons, "; "))}
}
