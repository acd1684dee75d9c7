package helmrepo

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/source"
)

// verify checks a provenance file, as Helm writes it: a text in OpenPGP's clear
// signature with the chart's metadata and, below a line "...", the digests of
// files. It says who signed.
func verify(provenance []byte, keyring [][]byte, file, hash string) (string, error) {
	keys, err := readKeyring(keyring)
	if err != nil {
		return "", err
	}
	block, _ := clearsign.Decode(provenance)
	if block == nil {
		return "", unverified("the provenance is no signed text")
	}
	signer, err := block.VerifySignature(keys, nil)
	if err != nil {
		return "", unverified("the provenance is not signed by a key of the keyring: %w", err)
	}
	_, sums, ok := bytes.Cut(block.Plaintext, []byte("\n...\n"))
	if !ok {
		return "", unverified("the provenance names no files")
	}
	var signed struct {
		Files map[string]string `json:"files"`
	}
	if err := yaml.Unmarshal(sums, &signed); err != nil {
		return "", unverified("the provenance names no files: it is not valid YAML")
	}
	if got := signed.Files[file]; got != "sha256:"+hash {
		return "", unverified("the provenance is for another archive: of %s it says %q", file, got)
	}
	return fmt.Sprintf("verified provenance, signed with OpenPGP key %X", signer.PrimaryKey.Fingerprint), nil
}

func readKeyring(keyring [][]byte) (keys openpgp.EntityList, err error) {
	for _, part := range keyring {
		read := openpgp.ReadKeyRing
		if bytes.Contains(part, []byte("-----BEGIN PGP")) {
			read = openpgp.ReadArmoredKeyRing
		}
		found, err := read(bytes.NewReader(part))
		if err != nil || len(found) == 0 {
			return nil, &source.InvalidError{Err: errors.New("the keyring holds no OpenPGP public keys")}
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

func unverified(format string, args ...any) error {
	return &source.VerifyError{Err: fmt.Errorf(format, args...)}
}
