package storage

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// longestRecord is how many bytes a record may unpack to. The server takes no
// Secret over 1 MiB; packed text of that size stays well below this.
const longestRecord = 64 << 20

// extras are the fields of a record that the SDK's type does not have.
type extras map[string]json.RawMessage

// applyMethod is such a field: Helm writes it since version 4.
const applyMethod = "apply_method"

func (e extras) method() string {
	method := ""
	if err := json.Unmarshal(e[applyMethod], &method); err != nil {
		return ""
	}
	return method
}

func (e extras) setMethod(method string) { e[applyMethod] = json.RawMessage(strconv.Quote(method)) }

// known are the fields that the SDK's type has.
var known = []string{"name", "info", "chart", "config", "manifest", "hooks", "version", "namespace"}

// encode makes the Secret of a record: JSON, compressed, in base64, beside the
// base64 of the Secret itself.
func encode(key string, rel *release.Release, extra extras) (*corev1.Secret, error) {
	raw, err := json.Marshal(rel)
	if err != nil {
		return nil, fmt.Errorf("release %s/%s.v%d: %w", rel.Namespace, rel.Name, rel.Version, err)
	}
	if len(extra) > 0 {
		rest, err := json.Marshal(extra)
		if err != nil {
			return nil, fmt.Errorf("release %s/%s.v%d: %w", rel.Namespace, rel.Name, rel.Version, err)
		}
		raw = append(append(raw[:len(raw)-1], ','), rest[1:]...)
	}
	packed := &bytes.Buffer{}
	w, err := gzip.NewWriterLevel(packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l := map[string]string{}
	maps.Copy(l, rel.Labels)
	maps.Copy(l, map[string]string{
		"name": rel.Name, "owner": "helm", "status": rel.Info.Status.String(), "version": strconv.Itoa(rel.Version),
	})
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: key, Labels: l},
		Type:       "helm.sh/release.v1",
		Data:       map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString(packed.Bytes()))},
	}, nil
}

// decode reads a record, and what it has that the SDK does not know. Records of
// the first Helm 3 are not compressed.
func decode(secret *corev1.Secret) (*release.Release, extras, error) {
	raw, err := unpack(secret.Data["release"])
	if err != nil {
		return nil, nil, fmt.Errorf("Secret/%s/%s: not a record of Helm: %w; remove it if nobody needs it", secret.Namespace, secret.Name, err)
	}
	rel, extra := &release.Release{}, extras{}
	for _, into := range []any{rel, &extra} {
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, nil, fmt.Errorf("Secret/%s/%s: not a record of Helm: %w; remove it if nobody needs it", secret.Namespace, secret.Name, err)
		}
	}
	if rel.Info == nil {
		rel.Info = &release.Info{Status: release.StatusUnknown}
	}
	for _, field := range known {
		delete(extra, field)
	}
	rel.Labels = map[string]string{}
	for name, value := range secret.Labels {
		if !slices.Contains(driver.GetSystemLabels(), name) {
			rel.Labels[name] = value
		}
	}
	return rel, extra, nil
}

func unpack(data []byte) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil || !bytes.HasPrefix(raw, []byte{0x1f, 0x8b, 0x08}) {
		return raw, err
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, longestRecord+1))
	if err == nil && len(out) > longestRecord {
		err = fmt.Errorf("it unpacks to more than %d bytes", longestRecord)
	}
	return out, err
}
