package decrypt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/logging"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	sopsjson "github.com/getsops/sops/v3/stores/json"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"github.com/sirupsen/logrus"
)

func init() { logging.SetLevel(logrus.PanicLevel) } // what there is to say is in the errors

// format is one of the forms that SOPS writes.
type format struct {
	marker string // is in every file of the form, and hardly in any other
	store  func() sops.Store
}

var (
	yamlFormat   = format{"mac: ENC[", func() sops.Store { return sopsyaml.NewStore(&config.YAMLStoreConfig{}) }}
	jsonFormat   = format{`"mac": "ENC[`, func() sops.Store { return sopsjson.NewStore(&config.JSONStoreConfig{}) }}
	dotenvFormat = format{"sops_mac=ENC[", func() sops.Store { return dotenv.NewStore(&config.DotenvStoreConfig{}) }}
	iniFormat    = format{"[sops]", func() sops.Store { return ini.NewStore(&config.INIStoreConfig{}) }}
	binaryFormat = format{"", func() sops.Store { return sopsjson.NewBinaryStore(&config.JSONBinaryStoreConfig{}) }}
)

// formatOf finds the form of a file, by its content; ok is false when it is not
// encrypted. A binary file is JSON with nothing but its content in it.
func formatOf(name string, content []byte) (f format, ok bool) {
	switch {
	case bytes.Contains(content, []byte(jsonFormat.marker)), bytes.Contains(content, []byte(`"mac":"ENC[`)):
		if path.Ext(name) != ".json" && isBinary(content) {
			return binaryFormat, true
		}
		return jsonFormat, true
	case bytes.Contains(content, []byte(dotenvFormat.marker)):
		return dotenvFormat, true
	case bytes.Contains(content, []byte(iniFormat.marker)) && bytes.Contains(content, []byte("ENC[")):
		return iniFormat, true
	case bytes.Contains(content, []byte("\nsops:")) && bytes.Contains(content, []byte(yamlFormat.marker)):
		return yamlFormat, true
	}
	return format{}, false
}

func isBinary(content []byte) bool {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(content, &fields); err != nil {
		return false
	}
	return len(fields) == 2 && fields["data"] != nil && fields["sops"] != nil
}

// Encrypted tells whether a file was encrypted by SOPS.
func Encrypted(name string, content []byte) bool {
	_, ok := formatOf(name, content)
	return ok
}

// Error says why a file cannot be decrypted.
type Error struct {
	// Passing is true when the trouble may pass by itself: a key service that does
	// not answer.
	Passing bool
	Err     error
}

func (e *Error) Error() string { return "can't be decrypted: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// File decrypts the content of a file that is Encrypted. It may hold several YAML
// documents. Errors are *Error.
func (k *Keys) File(ctx context.Context, name string, content []byte) ([]byte, error) {
	f, ok := formatOf(name, content)
	if !ok {
		return content, nil
	}
	store := f.store()
	tree, err := store.LoadEncryptedFile(content)
	if err != nil {
		return nil, &Error{Err: errors.New("its sops metadata cannot be read")}
	}
	if err := k.decrypt(ctx, &tree); err != nil {
		return nil, err
	}
	plain, err := store.EmitPlainFile(tree.Branches)
	if err != nil {
		return nil, &Error{Err: errors.New("what it holds has no form any more")}
	}
	return plain, nil
}

// decrypt decrypts a tree in place and verifies its authentication code.
func (k *Keys) decrypt(ctx context.Context, tree *sops.Tree) error {
	server := service{ctx: ctx, keys: k}
	client := keyservice.NewCustomLocalClient(server)
	key, err := tree.Metadata.GetDataKeyWithKeyServices([]keyservice.KeyServiceClient{client}, sops.DefaultDecryptionOrder)
	if err != nil {
		return k.noKey(server, tree.Metadata)
	}
	cipher := aes.NewCipher()
	computed, err := tree.Decrypt(key, cipher)
	if err != nil {
		return &Error{Err: errors.New("a value in it is damaged")}
	}
	written, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, key, tree.Metadata.LastModified.Format(time.RFC3339))
	if err != nil || written != computed {
		return &Error{Err: errors.New("its authentication code does not fit: somebody changed the file without sops")}
	}
	return nil
}

// noKey says for which keys a file was encrypted, and what became of those that a
// service holds. SOPS' own text has several lines for each.
func (k *Keys) noKey(s service, m sops.Metadata) error {
	var keys []string
	passing := false
	for _, group := range m.KeyGroups {
		for _, master := range group {
			text := fmt.Sprintf("%s %s", master.TypeToIdentifier(), master.ToString())
			key := keyservice.KeyFromMasterKey(master)
			_, err := s.open(&keyservice.DecryptRequest{Key: &key, Ciphertext: master.EncryptedDataKey()})
			if away := new(unreachable); errors.As(err, &away) {
				text += " (" + away.Error() + ")"
				passing = true
			}
			keys = append(keys, text)
		}
	}
	slices.Sort(keys)
	return &Error{Passing: passing, Err: fmt.Errorf("it needs one of these keys, none of which is in the Secret of spec.decryption: %s", strings.Join(slices.Compact(keys), ", "))}
}
