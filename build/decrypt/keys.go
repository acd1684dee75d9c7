// Package decrypt opens files that SOPS encrypted (https://getsops.io), in memory.
//
// Keys are what a unit may decrypt with. A file tells by its own metadata which
// keys it was encrypted for; any one of them will do, or as many as its key
// groups ask for. Its authentication code is always verified.
package decrypt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/oauth2"
	"sigs.k8s.io/yaml"
)

// Keys are the private keys and credentials of one unit. Its zero value has none,
// and may use what the environment of the process offers for cloud services.
type Keys struct {
	age   []age.Identity
	pgp   openpgp.EntityList
	vault string                  // token of Vault or OpenBao
	aws   aws.CredentialsProvider // nil for the environment's
	gcp   []byte                  // JSON of a service account's key
	azure azcore.TokenCredential
	cloud Cloud
}

// Cloud is who asks the key services of cloud providers, where the Secret says
// nothing; nil for the identity of the process.
type Cloud struct {
	Azure azcore.TokenCredential
	AWS   aws.CredentialsProvider
	GCP   oauth2.TokenSource
}

// As is the same keys with an identity at the providers.
func (k *Keys) As(c Cloud) *Keys {
	as := *k
	as.cloud = c
	if as.azure == nil {
		as.azure = c.Azure
	}
	if as.aws == nil {
		as.aws = c.AWS
	}
	return &as
}

// The keys of a Secret, as the toolkit documents them (kustomize-controller,
// docs/spec/v1/kustomizations.md, "Decryption").
const (
	ageSuffix  = ".agekey"
	pgpSuffix  = ".asc"
	vaultToken = "sops.vault-token"
	awsKMS     = "sops.aws-kms"
	gcpKMS     = "sops.gcp-kms"
	azureKV    = "sops.azure-kv"
)

// FromSecret reads keys from the data of a Secret. Errors name the entry, never
// its content.
func FromSecret(data map[string][]byte) (*Keys, error) {
	k := &Keys{}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		if err := k.add(name, data[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return k, nil
}

func (k *Keys) add(name string, content []byte) error {
	switch {
	case path.Ext(name) == ageSuffix:
		return k.addAge(content)
	case path.Ext(name) == pgpSuffix:
		return k.addPGP(content)
	case name == vaultToken:
		k.vault = strings.Trim(string(content), "\n\"")
	case name == awsKMS:
		return k.addAWS(content)
	case name == gcpKMS:
		k.gcp = content
	case name == azureKV:
		return k.addAzure(content)
	}
	return nil // what else is in the Secret is for others
}

func (k *Keys) addAge(content []byte) error {
	identities, err := age.ParseIdentities(bytes.NewReader(content))
	if err != nil {
		return errors.New("it holds no age identity: a line that begins with AGE-SECRET-KEY-")
	}
	k.age = append(k.age, identities...)
	return nil
}

func (k *Keys) addPGP(content []byte) error {
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(content))
	if err != nil {
		return errors.New("it is no armored OpenPGP key: export it with gpg --export-secret-keys --armor")
	}
	for _, e := range entities {
		if e.PrivateKey == nil {
			return errors.New("it is a public key: export the private one with gpg --export-secret-keys --armor")
		}
		if e.PrivateKey.Encrypted {
			return errors.New("the key has a passphrase, which nobody could enter: export it without one")
		}
	}
	k.pgp = append(k.pgp, entities...)
	return nil
}

func (k *Keys) addAWS(content []byte) error {
	fields := struct {
		ID      string `json:"aws_access_key_id"`
		Secret  string `json:"aws_secret_access_key"`
		Session string `json:"aws_session_token"`
	}{}
	if err := yaml.Unmarshal(content, &fields); err != nil || fields.ID == "" || fields.Secret == "" {
		return errors.New("it has not the fields aws_access_key_id and aws_secret_access_key")
	}
	k.aws = credentials.NewStaticCredentialsProvider(fields.ID, fields.Secret, fields.Session)
	return nil
}
