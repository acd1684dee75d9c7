package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/plumb-gitops/plumb/source"
)

// The modes of a Verify: which Git object has to be signed.
const (
	VerifyHEAD       = "HEAD" // the commit
	VerifyTag        = "Tag"  // the tag, which has to be an annotated one
	VerifyTagAndHEAD = "TagAndHEAD"
)

// Verify says who has to have signed what. One of the keys is enough for each.
type Verify struct {
	Mode string
	PGP  openpgp.EntityList
	SSH  []ssh.PublicKey
}

// VerifyFromSecret reads trusted keys from the values of a Secret, whatever their
// names: OpenPGP public keys in armor, or SSH public keys, a line each in the format
// of authorized_keys or of allowed_signers (ssh-keygen(1)). mode is one of the
// constants, "head" or "".
func VerifyFromSecret(mode string, data map[string][]byte) (*Verify, error) {
	v := &Verify{Mode: VerifyMode(mode)}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if err := v.add(data[name]); err != nil {
			return nil, &source.InvalidError{Err: fmt.Errorf("%s: %w", name, err)}
		}
	}
	if len(v.PGP) == 0 && len(v.SSH) == 0 {
		return nil, &source.InvalidError{Err: errors.New("it holds no public keys")}
	}
	return v, nil
}

// VerifyMode is a mode as the constants have it: "head", as older versions write
// it, and "" are VerifyHEAD.
func VerifyMode(mode string) string {
	if mode == "" || mode == "head" {
		return VerifyHEAD
	}
	return mode
}

func (v *Verify) add(content []byte) error {
	if bytes.Contains(content, []byte("-----BEGIN PGP")) {
		keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(content))
		if err != nil || len(keys) == 0 {
			return errors.New("the OpenPGP keys cannot be read")
		}
		v.PGP = append(v.PGP, keys...)
		return nil
	}
	keys, err := sshKeys(content)
	v.SSH = append(v.SSH, keys...)
	return err
}

// sshKeys reads lines of authorized_keys or allowed_signers. In the latter the key
// comes after who may sign with it, which is not asked here, and maybe options.
func sshKeys(content []byte) (keys []ssh.PublicKey, err error) {
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if _, rest, ok := strings.Cut(line, " "); err != nil && ok {
			key, _, _, _, err = ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest)))
		}
		if err != nil {
			return nil, fmt.Errorf("line %d is neither an OpenPGP nor an SSH public key", n)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// wantsTag tells whether a tag has to be signed.
func (v *Verify) wantsTag() bool { return v != nil && v.Mode != VerifyHEAD }

// wantsCommit tells whether the commit has to be signed.
func (v *Verify) wantsCommit() bool { return v != nil && v.Mode != VerifyTag }

// tagOf is the tag object that has to be signed for a target, the zero hash when
// none has.
func (v *Verify) tagOf(t target, r Ref, address string) (plumbing.Hash, error) {
	switch {
	case !v.wantsTag():
		return plumbing.ZeroHash, nil
	case r.Commit != "" || r.Tag == "" && r.SemVer == "" && !strings.HasPrefix(r.Name, "refs/tags/"):
		return plumbing.ZeroHash, unusable(address, fmt.Sprintf("spec.verify.mode %s needs a tag: set spec.ref.tag, spec.ref.semver, or spec.ref.name to one", v.Mode))
	case t.want == t.commit:
		return plumbing.ZeroHash, &source.VerifyError{Err: fmt.Errorf("%s: tag %s is not an annotated one, so nobody signed it", address, t.label)}
	}
	return t.want, nil
}

// leads checks that a signed tag is the one that was asked for and names the commit
// that is used. That a server shows the two together proves nothing: it could show
// an old signed tag under a new name, or with any commit beside it.
func leads(raw []byte, at target) error {
	name := strings.TrimPrefix(at.label, "refs/tags/")
	switch {
	case header(raw, "tag") != name:
		return &source.VerifyError{Err: fmt.Errorf("tag '%s' is signed as another one, %q", name, header(raw, "tag"))}
	case header(raw, "type") != "commit" || header(raw, "object") != at.commit.String():
		return &source.VerifyError{Err: fmt.Errorf("tag '%s' does not name commit '%s'", name, at.commit)}
	}
	return nil
}

// header is the first value of a header of a tag, "" for none.
func header(raw []byte, name string) string {
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			break // the message is not the header
		}
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value
		}
	}
	return ""
}

// verified checks what has to be signed, and says by whom it was.
func (g *generation) verified(v *Verify, at target) (words string, err error) {
	commit, tag := at.commit, at.tag
	var found []string
	check := func(what string, kind plumbing.ObjectType, hash plumbing.Hash, split func([]byte) (payload, signature []byte)) error {
		raw, err := g.raw(kind, hash)
		if err != nil {
			return err
		}
		if kind == plumbing.TagObject {
			if err := leads(raw, at); err != nil {
				return err
			}
		}
		key, err := v.check(split(raw))
		if err != nil {
			return &source.VerifyError{Err: fmt.Errorf("%s '%s' %w", what, hash, err)}
		}
		found = append(found, fmt.Sprintf("%s '%s' with key '%s'", what, hash, key))
		return nil
	}
	if v.wantsTag() {
		if err := check("tag", plumbing.TagObject, tag, splitTag); err != nil {
			return "", err
		}
	}
	if v.wantsCommit() {
		if err := check("commit", plumbing.CommitObject, commit, splitCommit); err != nil {
			return "", err
		}
	}
	if len(found) == 0 {
		return "", nil
	}
	return "verified signature of " + strings.Join(found, " and "), nil
}

// raw is an object as it is stored.
func (g *generation) raw(kind plumbing.ObjectType, hash plumbing.Hash) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o, err := g.storage.EncodedObject(kind, hash)
	if err != nil {
		return nil, g.damage(err)
	}
	r, err := o.Reader()
	if err != nil {
		return nil, g.damage(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, g.damage(err)
	}
	return content, nil
}

// splitCommit takes the signature out of a commit: the header gpgsig, whose further
// lines begin with a blank (gitformat-signature(5)).
//
// A signature for another hash algorithm (gpgsig-sha256) is no part of what was signed
// either, and of no use here.
func splitCommit(raw []byte) (payload, signature []byte) {
	inside, headers := false, true
	var other []byte
	to := &signature
	for line := range bytes.Lines(raw) {
		switch rest, is := bytes.CutPrefix(line, []byte("gpgsig ")); {
		case headers && is:
			inside, to = true, &signature
			*to = append(*to, rest...)
		case headers && bytes.HasPrefix(line, []byte("gpgsig-")):
			inside, to = true, &other
		case headers && inside && line[0] == ' ':
			*to = append(*to, line[1:]...)
		default:
			inside, headers = false, headers && len(line) > 1
			payload = append(payload, line...)
		}
	}
	return payload, signature
}

// splitTag takes the signature off the end of a tag (gitformat-signature(5)).
func splitTag(raw []byte) (payload, signature []byte) {
	at := -1
	for _, begin := range []string{"-----BEGIN PGP SIGNATURE-----", "-----BEGIN SSH SIGNATURE-----"} {
		at = max(at, bytes.LastIndex(raw, []byte("\n"+begin)))
	}
	if at < 0 {
		return raw, nil
	}
	return raw[:at+1], raw[at+1:]
}

// check tells whose signature a payload has; the error says what is the matter.
func (v *Verify) check(payload, signature []byte) (key string, err error) {
	switch {
	case len(signature) == 0:
		return "", errors.New("is not signed")
	case bytes.Contains(signature, []byte("-----BEGIN SSH SIGNATURE-----")):
		return v.checkSSH(payload, signature)
	case bytes.Contains(signature, []byte("-----BEGIN PGP")):
		return v.checkPGP(payload, signature)
	}
	return "", errors.New("has a signature of another kind than OpenPGP and SSH")
}

func (v *Verify) checkPGP(payload, signature []byte) (string, error) {
	if len(v.PGP) == 0 {
		return "", errors.New("has an OpenPGP signature, and no OpenPGP key is trusted")
	}
	signer, err := openpgp.CheckArmoredDetachedSignature(v.PGP, bytes.NewReader(payload), bytes.NewReader(signature), nil)
	if err != nil {
		return "", fmt.Errorf("is not signed by a trusted key: %w", err)
	}
	return fmt.Sprintf("%016X", signer.PrimaryKey.KeyId), nil
}

// namespaceGit is what git signs for (ssh-keygen(1), -n).
const namespaceGit = "git"

func (v *Verify) checkSSH(payload, signature []byte) (string, error) {
	if len(v.SSH) == 0 {
		return "", errors.New("has an SSH signature, and no SSH key is trusted")
	}
	parsed, err := sshsig.Unarmor(signature)
	if err != nil {
		return "", errors.New("has a signature that cannot be read")
	}
	for _, key := range v.SSH {
		if sshsig.Verify(bytes.NewReader(payload), parsed, key, parsed.HashAlgorithm, namespaceGit) == nil {
			return ssh.FingerprintSHA256(key), nil
		}
	}
	return "", errors.New("is not signed by a trusted key")
}
