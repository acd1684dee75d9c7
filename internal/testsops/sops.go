// Package testsops encrypts files for tests, as the sops command does.
package testsops

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/pgp"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
)

// Key can encrypt files; its private half goes into the Secret of a unit.
type Key struct {
	Entry   string // the name of the Secret's entry
	Private []byte
	master  func(dataKey []byte) (keys.MasterKey, error)
}

// Age makes an age key.
func Age(tb testing.TB) Key {
	tb.Helper()
	identity := must(age.GenerateX25519Identity())(tb)
	return Key{"test.agekey", []byte(identity.String() + "\n"), func(dataKey []byte) (keys.MasterKey, error) {
		m := &sopsage.MasterKey{Recipient: identity.Recipient().String()}
		return m, m.Encrypt(dataKey)
	}}
}

// OpenPGP makes an OpenPGP key without a passphrase.
func OpenPGP(tb testing.TB) Key {
	tb.Helper()
	entity := must(openpgp.NewEntity("plumb", "", "plumb@example.com", nil))(tb)
	var private bytes.Buffer
	w := must(armor.Encode(&private, openpgp.PrivateKeyType, nil))(tb)
	if err := entity.SerializePrivate(w, nil); err != nil {
		tb.Fatal(err)
	}
	w.Close()
	return Key{"test.asc", private.Bytes(), func(dataKey []byte) (keys.MasterKey, error) {
		var out bytes.Buffer
		armored, err := armor.Encode(&out, "PGP MESSAGE", nil)
		if err != nil {
			return nil, err
		}
		plain, err := openpgp.Encrypt(armored, []*openpgp.Entity{entity}, nil, nil, nil)
		if err != nil {
			return nil, err
		}
		if _, err := plain.Write(dataKey); err != nil {
			return nil, err
		}
		plain.Close()
		armored.Close()
		m := pgp.NewMasterKeyFromFingerprint(fmt.Sprintf("%X", entity.PrimaryKey.Fingerprint))
		m.SetEncryptedDataKey(out.Bytes())
		return m, nil
	}}
}

// Stores are the forms of files by name: yaml, json, dotenv, ini and binary.
var Stores = map[string]sops.Store{
	"yaml":   sopsyaml.NewStore(&config.YAMLStoreConfig{}),
	"json":   sopsjson.NewStore(&config.JSONStoreConfig{}),
	"dotenv": dotenv.NewStore(&config.DotenvStoreConfig{}),
	"ini":    ini.NewStore(&config.INIStoreConfig{}),
	"binary": sopsjson.NewBinaryStore(&config.JSONBinaryStoreConfig{}),
}

// Encrypt encrypts a file of a form for a key. only, unless "", is the regular
// expression of the fields to encrypt.
func Encrypt(tb testing.TB, form, plain, only string, key Key) string {
	tb.Helper()
	store := Stores[form]
	branches := must(store.LoadPlainFile([]byte(plain)))(tb)
	dataKey := bytes.Repeat([]byte{7}, 32)
	master := must(key.master(dataKey))(tb)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		KeyGroups:         []sops.KeyGroup{{master}},
		EncryptedRegex:    only,
		UnencryptedSuffix: suffix(only),
		Version:           "3.13.3",
		LastModified:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}}
	cipher := aes.NewCipher()
	mac := must(tree.Encrypt(dataKey, cipher))(tb)
	tree.Metadata.MessageAuthenticationCode = must(cipher.Encrypt(mac, dataKey, tree.Metadata.LastModified.Format(time.RFC3339)))(tb)
	return string(must(store.EmitEncryptedFile(tree))(tb))
}

// suffix is what sops writes when nothing else chooses the fields.
func suffix(only string) string {
	if only != "" {
		return ""
	}
	return sops.DefaultUnencryptedSuffix
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
}
