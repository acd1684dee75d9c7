package build

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/build/decrypt"
)

// finish does with the built objects what kustomize knows nothing of: it decrypts
// what a generator or a patch put together, substitutes, and adds metadata, in the
// order in which the toolkit does. Errors lead with the object.
func (b *builder) finish(objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	if err := b.spec.Substitution.check(); err != nil {
		return nil, &Error{File: b.spec.Path, Err: err}
	}
	for i, obj := range objects {
		if err := b.open(obj); err != nil {
			return nil, err
		}
		finished, err := b.spec.Substitution.object(obj)
		if err != nil {
			return nil, &Error{File: b.fileWith(obj), Err: err}
		}
		b.spec.CommonMetadata.add(finished)
		objects[i] = finished
	}
	return objects, nil
}

// fileWith is the file that an object most likely comes from: one that was read,
// and holds its kind and name. The folder that was built, when there is none.
func (b *builder) fileWith(obj *unstructured.Unstructured) string {
	for _, name := range slices.Sorted(maps.Keys(b.content)) {
		text := string(b.content[name])
		if strings.Contains(text, obj.GetKind()) && strings.Contains(text, obj.GetName()) {
			return name
		}
	}
	return b.spec.Path
}

// Metadata is added to every object; it wins over what the object has.
type Metadata struct {
	Labels, Annotations map[string]string
}

func (m Metadata) add(obj *unstructured.Unstructured) {
	if len(m.Labels) > 0 {
		obj.SetLabels(over(obj.GetLabels(), m.Labels))
	}
	if len(m.Annotations) > 0 {
		obj.SetAnnotations(over(obj.GetAnnotations(), m.Annotations))
	}
}

func over(have, more map[string]string) map[string]string {
	if have == nil {
		have = make(map[string]string, len(more))
	}
	maps.Copy(have, more)
	return have
}

// ciphertext begins every value that SOPS encrypted.
const ciphertext = "ENC[AES256_GCM,data:"

// open decrypts the data of a Secret that are encrypted files themselves, and
// refuses an object that is still encrypted somewhere: it would be applied as if
// that were its content.
func (b *builder) open(obj *unstructured.Unstructured) error {
	if obj.GetKind() == "Secret" && obj.GroupVersionKind().Group == "" {
		if err := b.openData(obj); err != nil {
			return err
		}
	}
	at := encryptedAt(obj.Object, "")
	if at == "" {
		return nil
	}
	way := "set spec.decryption with a key for it"
	if b.spec.Decrypt != nil {
		way = "encrypt the whole file with sops, so that it has its metadata"
	}
	return &Error{File: b.fileWith(obj), Err: fmt.Errorf("%s: %s is still encrypted: %s", identify(obj), at, way)}
}

// openData decrypts the values below data.
func (b *builder) openData(obj *unstructured.Unstructured) error {
	data, found, err := unstructured.NestedMap(obj.Object, "data")
	if err != nil || !found {
		return nil //nolint:nilerr // the API server says what is wrong with it
	}
	changed := false
	for _, name := range slices.Sorted(maps.Keys(data)) {
		text, _ := data[name].(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !strings.Contains(string(raw), "ENC[") {
			continue
		}
		plain, err := b.openValue(name, raw)
		if err != nil {
			return b.undecrypted(b.fileWith(obj), fmt.Errorf("%s: data.%s: %w", identify(obj), name, err))
		}
		data[name] = base64.StdEncoding.EncodeToString(plain)
		changed = true
	}
	if !changed {
		return nil
	}
	return unstructured.SetNestedMap(obj.Object, data, "data")
}

// openValue decrypts a value that is an encrypted file. One that only holds
// ciphertext, such as a line of an encrypted env file, has lost its metadata.
func (b *builder) openValue(name string, raw []byte) ([]byte, error) {
	if !decrypt.Encrypted(name, raw) && strings.Contains(string(raw), ciphertext) {
		return nil, errNoKeys
	}
	return b.decrypted(name, raw)
}

var errNoKeys = errors.New("is encrypted: set spec.decryption with a key for it")

// decrypted is the content of an encrypted file.
func (b *builder) decrypted(name string, content []byte) ([]byte, error) {
	if b.spec.Decrypt == nil && decrypt.Encrypted(name, content) {
		return nil, errNoKeys
	}
	return b.spec.Decrypt.File(b.ctx, name, content)
}

// undecrypted is the error about a file, or about what may pass by itself.
func (b *builder) undecrypted(file string, err error) error {
	if d := new(decrypt.Error); errors.As(err, &d) && d.Passing {
		return b.fail(fmt.Errorf("%s: %w", file, err))
	}
	return &Error{File: file, Err: err}
}

// encryptedAt is the first field below value that holds ciphertext.
func encryptedAt(value any, path string) string {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, ciphertext) {
			return strings.TrimPrefix(path, ".")
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if at := encryptedAt(v[name], path+"."+name); at != "" {
				return at
			}
		}
	case []any:
		for i, item := range v {
			if at := encryptedAt(item, fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
	}
	return ""
}
