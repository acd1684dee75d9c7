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
	"sync"

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

func (e extras) setMethod(method string) { e[applyMethod] = json.RawMessage(strconv.Quote(method)) }

// fields are those that the SDK's type has.
var fields = []string{"name", "info", "chart", "config", "manifest", "hooks", "version", "namespace"}

// marshal is a record as JSON, with what the SDK does not know.
func marshal(rel *release.Release, extra extras) ([]byte, error) {
	raw, err := json.Marshal(rel)
	if err != nil {
		return nil, fmt.Errorf("release %s/%s.v%d: %w", rel.Namespace, rel.Name, rel.Version, err)
	}
	if len(extra) == 0 {
		return raw, nil
	}
	rest, err := json.Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("release %s/%s.v%d: %w", rel.Namespace, rel.Name, rel.Version, err)
	}
	return append(append(raw[:len(raw)-1], ','), rest[1:]...), nil
}

// packers are for reuse: each has more than a megabyte of tables.
var packers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(io.Discard, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is one of gzip's
	}
	return w
}}

// pack makes the Secret of a record: its JSON, compressed, in base64, beside the base64
// of the Secret itself.
func pack(key string, rel *release.Release, raw []byte) (*corev1.Secret, error) {
	packed := &bytes.Buffer{}
	w, _ := packers.Get().(*gzip.Writer) // it has no others
	defer packers.Put(w)
	w.Reset(packed)
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

// ownLabels are the labels of a Secret that the release has, not its storage.
func ownLabels(secret *corev1.Secret) map[string]string {
	out := map[string]string{}
	for name, value := range secret.Labels {
		if !slices.Contains(driver.GetSystemLabels(), name) {
			out[name] = value
		}
	}
	return out
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
