package storage

import (
	"encoding/json"
	"fmt"
	"maps"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/plumb-gitops/plumb/helmrel"
)

// kept is a record in memory, which is read as far as somebody asks: most of it is the
// chart, and of that most askers want to know the name.
type kept struct {
	secret *corev1.Secret
	raw    []byte           // its JSON, nil when it has to be unpacked
	extra  extras           // nil until it is read
	whole  *release.Release // nil when it has to be read
	brief  *helmrel.Record  // nil until somebody asks
}

// most is how long the JSON of a record may be to be kept beside the Secret. A longer one
// is unpacked again when somebody asks.
const most = 256 << 10

// brief is what a Record is made of.
type brief struct {
	Name  string        `json:"name"`
	Info  *release.Info `json:"info"`
	Chart *struct {
		Metadata *chart.Metadata `json:"metadata"`
	} `json:"chart"`
	Config      map[string]any  `json:"config"`
	Manifest    string          `json:"manifest"`
	Hooks       []*release.Hook `json:"hooks"`
	Version     int             `json:"version"`
	Namespace   string          `json:"namespace"`
	ApplyMethod any             `json:"apply_method"`
}

func (k *kept) unreadable(err error) error {
	return fmt.Errorf("Secret/%s/%s: not a record of Helm: %w; remove it if nobody needs it", k.secret.Namespace, k.secret.Name, err)
}

// unpacked is the JSON. Records of the first Helm 3 are not compressed.
func (k *kept) unpacked() ([]byte, error) {
	if k.raw != nil {
		return k.raw, nil
	}
	raw, err := unpack(k.secret.Data["release"])
	if err != nil {
		return nil, k.unreadable(err)
	}
	k.keep(raw)
	return raw, nil
}

func (k *kept) keep(raw []byte) {
	if len(raw) <= most {
		k.raw = raw
	}
}

// record is what matters about the record.
func (k *kept) record() (helmrel.Record, error) {
	if k.brief != nil {
		return *k.brief, nil
	}
	raw, err := k.unpacked()
	if err != nil {
		return helmrel.Record{}, err
	}
	b := brief{}
	if err := json.Unmarshal(raw, &b); err != nil {
		return helmrel.Record{}, k.unreadable(err)
	}
	rel := &release.Release{
		Name: b.Name, Info: known(b.Info), Config: b.Config, Manifest: b.Manifest, Hooks: b.Hooks, Version: b.Version, Namespace: b.Namespace,
		Labels: ownLabels(k.secret),
	}
	if b.Chart != nil {
		rel.Chart = &chart.Chart{Metadata: b.Chart.Metadata}
	}
	method, _ := b.ApplyMethod.(string) // anything else says nothing
	record := helmrel.NewRecord(rel, method)
	record.Others = others(k.secret)
	k.brief = &record
	return record, nil
}

func known(info *release.Info) *release.Info {
	if info == nil {
		return &release.Info{Status: release.StatusUnknown}
	}
	return info
}

// read is all of the record. What it has that the SDK does not know is in extra then.
func (k *kept) read() (*release.Release, error) {
	if k.whole != nil {
		return k.whole, nil
	}
	raw, err := k.unpacked()
	if err != nil {
		return nil, err
	}
	rel, extra := &release.Release{}, extras{}
	for _, into := range []any{rel, &extra} {
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, k.unreadable(err)
		}
	}
	for _, field := range fields {
		delete(extra, field)
	}
	rel.Info, rel.Labels = known(rel.Info), ownLabels(k.secret)
	k.extra = extra
	if len(raw) <= most {
		k.whole = rel
	}
	return rel, nil
}

// release is the release for the SDK, which changes what it gets; but not its chart.
func (k *kept) release() (*release.Release, error) {
	whole, err := k.read()
	if err != nil {
		return nil, err
	}
	rel, info := *whole, *whole.Info
	rel.Info, rel.Labels, rel.Config = &info, maps.Clone(rel.Labels), runtime.DeepCopyJSON(rel.Config)
	rel.Hooks = make([]*release.Hook, len(whole.Hooks))
	for i, hook := range whole.Hooks {
		own := *hook
		rel.Hooks[i] = &own
	}
	return &rel, nil
}
