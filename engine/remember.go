package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/prune"
)

// What a unit knows of its objects is kept on disk, so that a restart does not ask the
// server about each of them. It is believed only of objects that are on the cluster as
// it says: the planner compares what we owned of an object after our last write with
// what we own of it now (apply, untouched). A file that is old, or lost, or of another
// version costs dry runs and nothing else, so a crash around its write is harmless.

// Known keeps what is known of units, by a key.
type Known interface {
	SaveNote(key string, value []byte) error
	LoadNote(key string) ([]byte, error)
	DropNote(key string) error
}

// form is that of the files. It changes when what a hash is made of does.
const form = 1

// recollection is what is kept of one unit, beside what it was true for.
type recollection struct {
	Form       int         `json:"form"`
	UID        types.UID   `json:"uid"`
	Requested  string      `json:"requested,omitempty"`
	Connection string      `json:"connection,omitempty"`
	Settings   string      `json:"settings,omitempty"`
	VerifyAt   time.Time   `json:"verifyAt"`
	Objects    []knownHere `json:"objects"`
}

// knownHere is what is known of one object.
type knownHere struct {
	kustomizev1.ResourceRef
	Desired []byte `json:"desired"`
	Owned   []byte `json:"owned"`
	Body    []byte `json:"body,omitempty"`
}

func noteOf(name types.NamespacedName) string { return "unit/" + name.String() }

// remember keeps what a unit knows, if it is news.
func (e *Engine) remember(p *pass) {
	if e.Known == nil || e.DryRun {
		return
	}
	raw := p.unit.recollection(e.settings())
	if raw == nil {
		return
	}
	if err := e.Known.SaveNote(noteOf(p.unit.name), raw); err != nil {
		e.log.Error(err, "a restart will look at all objects of a Kustomization", "namespace", p.unit.name.Namespace, "name", p.unit.name.Name)
	}
}

// recall gives a unit that was not worked on yet what was known of it.
func (e *Engine) recall(p *pass) {
	if e.Known == nil || !p.unit.fresh() {
		return
	}
	raw, err := e.Known.LoadNote(noteOf(p.unit.name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	r := recollection{}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	known, errKnown := r.known()
	if err = errors.Join(err, errKnown); err != nil {
		e.log.Error(err, "what was known of a Kustomization can't be read", "namespace", p.unit.name.Namespace, "name", p.unit.name.Name)
		return
	}
	if r.Form == form && r.Settings == e.settings() {
		p.unit.recall(r, known)
	}
}

// forgetKnown drops what is kept of a unit that is no more.
func (e *Engine) forgetKnown(name types.NamespacedName) error {
	if e.Known == nil || e.DryRun {
		return nil
	}
	return e.Known.DropNote(noteOf(name))
}

// settings are those by which it was decided what has to be written.
func (e *Engine) settings() string { return fmt.Sprint(e.DriftRules) }

// fresh tells whether nothing was planned for the unit in this process.
func (u *unit) fresh() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.inputs.uid == ""
}

// recall takes up what was known, for the same inputs.
func (u *unit) recall(r recollection, known map[kube.Key]apply.Written) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inputs = inputs{uid: r.UID, requested: r.Requested, connection: r.Connection}
	u.known, u.verifyAt, u.kept = known, r.VerifyAt, true
}

// recollection is what there is to keep; nil when that is kept already.
func (u *unit) recollection(settings string) []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.kept {
		return nil
	}
	u.kept = true
	r := recollection{
		Form: form, UID: u.inputs.uid, Requested: u.inputs.requested, Connection: u.inputs.connection, Settings: settings, VerifyAt: u.verifyAt,
		Objects: make([]knownHere, 0, len(u.known)),
	}
	for key, w := range u.known {
		if key.GroupKind == (schema.GroupKind{Kind: secretKind}) {
			continue // what a fast hash is made of can be guessed
		}
		r.Objects = append(r.Objects, knownHere{prune.Ref(key), w.Desired[:], w.Owned[:], w.Body[:]})
	}
	return asJSON(r)
}

func (r recollection) known() (map[kube.Key]apply.Written, error) {
	out := make(map[kube.Key]apply.Written, len(r.Objects))
	for _, o := range r.Objects {
		keys, err := prune.Load(&kustomizev1.ResourceInventory{Entries: []kustomizev1.ResourceRef{o.ResourceRef}})
		if err != nil {
			return nil, err
		}
		w := apply.Written{}
		if copy(w.Desired[:], o.Desired) != len(drift.Hash{}) || copy(w.Owned[:], o.Owned) != len(drift.Hash{}) {
			return nil, errors.New("a hash is too short")
		}
		copy(w.Body[:], o.Body) // older files have none
		out[keys[0]] = w
	}
	return out, nil
}
