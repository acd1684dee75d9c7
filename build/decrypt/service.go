package decrypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	pgparmor "github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/getsops/sops/v3/azkv"
	"github.com/getsops/sops/v3/gcpkms"
	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/kms"
)

// service decrypts data keys with a unit's keys. It is what SOPS asks instead of
// looking for keys on this machine.
type service struct {
	keyservice.UnimplementedKeyServiceServer
	ctx  context.Context // of the one build; SOPS hands in none
	keys *Keys
}

var errNoKey = errors.New("there is no such key")

// Decrypt implements keyservice.KeyServiceServer.
func (s service) Decrypt(_ context.Context, r *keyservice.DecryptRequest) (*keyservice.DecryptResponse, error) {
	plain, err := s.open(r)
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

// Encrypt implements keyservice.KeyServiceServer: nothing is encrypted here.
func (service) Encrypt(context.Context, *keyservice.EncryptRequest) (*keyservice.EncryptResponse, error) {
	return nil, errors.New("this only decrypts")
}

func (s service) open(r *keyservice.DecryptRequest) ([]byte, error) {
	switch key := r.Key.KeyType.(type) {
	case *keyservice.Key_AgeKey:
		return s.openAge(r.Ciphertext)
	case *keyservice.Key_PgpKey:
		return s.openPGP(r.Ciphertext)
	case *keyservice.Key_VaultKey:
		return s.openVault(key.VaultKey, r.Ciphertext)
	case *keyservice.Key_KmsKey:
		return s.openAWS(key.KmsKey, r.Ciphertext)
	case *keyservice.Key_GcpKmsKey:
		return s.openGCP(key.GcpKmsKey, r.Ciphertext)
	case *keyservice.Key_AzureKeyvaultKey:
		return s.openAzure(key.AzureKeyvaultKey, r.Ciphertext)
	default:
		return nil, fmt.Errorf("keys of the kind %T are not supported", key)
	}
}

func (s service) openAge(ciphertext []byte) ([]byte, error) {
	if len(s.keys.age) == 0 {
		return nil, errNoKey
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(ciphertext)), s.keys.age...)
	if err != nil {
		return nil, errNoKey // age says which identities it tried
	}
	return io.ReadAll(r)
}

func (s service) openPGP(ciphertext []byte) ([]byte, error) {
	block, err := pgparmor.Decode(bytes.NewReader(ciphertext))
	if err != nil {
		return nil, errors.New("its data key is no armored OpenPGP message")
	}
	message, err := openpgp.ReadMessage(block.Body, s.keys.pgp, nil, nil)
	if err != nil {
		return nil, errNoKey
	}
	return io.ReadAll(message.UnverifiedBody)
}

func (s service) openVault(key *keyservice.VaultKey, ciphertext []byte) ([]byte, error) {
	if s.keys.vault == "" {
		return nil, fmt.Errorf("%w: the Secret has no %s", errNoKey, vaultToken)
	}
	m := hcvault.MasterKey{VaultAddress: key.VaultAddress, EnginePath: key.EnginePath, KeyName: key.KeyName, EncryptedKey: string(ciphertext)}
	hcvault.Token(s.keys.vault).ApplyToMasterKey(&m)
	plain, err := m.DecryptContext(s.ctx)
	return plain, remote("Vault", err)
}

func (s service) openAWS(key *keyservice.KmsKey, ciphertext []byte) ([]byte, error) {
	values := make(map[string]*string, len(key.Context))
	for name, value := range key.Context {
		values[name] = &value
	}
	m := kms.MasterKey{Arn: key.Arn, Role: key.Role, EncryptionContext: values, EncryptedKey: string(ciphertext)}
	if s.keys.aws != nil {
		kms.NewCredentialsProvider(s.keys.aws).ApplyToMasterKey(&m)
	}
	plain, err := m.DecryptContext(s.ctx)
	return plain, remote("AWS KMS", err)
}

func (s service) openGCP(key *keyservice.GcpKmsKey, ciphertext []byte) ([]byte, error) {
	m := gcpkms.MasterKey{ResourceID: key.ResourceId, EncryptedKey: string(ciphertext)}
	switch {
	case s.keys.gcp != nil:
		gcpkms.CredentialJSON(s.keys.gcp).ApplyToMasterKey(&m)
	case s.keys.cloud.GCP != nil:
		gcpkms.NewTokenSource(s.keys.cloud.GCP).ApplyToMasterKey(&m)
	}
	plain, err := m.DecryptContext(s.ctx)
	return plain, remote("Google Cloud KMS", err)
}

func (s service) openAzure(key *keyservice.AzureKeyVaultKey, ciphertext []byte) ([]byte, error) {
	m := azkv.MasterKey{VaultURL: key.VaultUrl, Name: key.Name, Version: key.Version, EncryptedKey: string(ciphertext)}
	if s.keys.azure != nil {
		azkv.NewTokenCredential(s.keys.azure).ApplyToMasterKey(&m)
	}
	plain, err := m.DecryptContext(s.ctx)
	return plain, remote("Azure Key Vault", err)
}

// unreachable says that a key service was asked and did not answer as it should.
type unreachable struct {
	what string
	err  error
}

func (u *unreachable) Error() string { return u.what + ": " + u.err.Error() }

// remote marks the errors of a key service: they may pass, unlike a missing key.
// Of what the service says only the first line is kept.
func remote(what string, err error) error {
	if err == nil {
		return nil
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return &unreachable{what, errors.New(first)}
}
