package live

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// Change is what happened to one object: Old is nil when it appeared, New when
// it is gone from the selection.
type Change struct {
	Old, New *Record
}

// Record is the newer of the two.
func (c Change) Record() Record {
	if c.New != nil {
		return *c.New
	}
	return *c.Old
}

// View is the live view of one cluster. It is safe for concurrent use.
type View struct {
	cluster *kube.Cluster
	notify  func(Change)
	spawn   func(run func(context.Context)) (stop func())

	mu    sync.Mutex
	kinds map[selection]*kind
	named map[kube.Key]*named
	// checks are the units' own ideas of healthy.
	checks map[User]*health.Checks
	// listeners are told of changes of single objects.
	listeners map[kube.Key]map[*listener]bool
}

// selection is what one watch sees: the objects of one kind that belong to units
// of one kind.
type selection struct {
	owner string
	gvk   schema.GroupVersionKind
}

// kind is the watch of one kind, with its records.
type kind struct {
	selection
	view    *View
	watcher *watcher
	stop    func()
	users   map[User]bool
	records map[kube.Key]Record
	newest  string // resource version of the last event or list
}

// New makes an empty view. Its watches end with ctx. notify is called, outside
// of any lock, after each change that somebody may want to be woken for.
func New(ctx context.Context, cluster *kube.Cluster, notify func(Change)) *View {
	return &View{
		cluster:   cluster,
		notify:    notify,
		kinds:     map[selection]*kind{},
		named:     map[kube.Key]*named{},
		checks:    map[User]*health.Checks{},
		listeners: map[kube.Key]map[*listener]bool{},
		spawn: func(run func(context.Context)) func() {
			ctx, cancel := context.WithCancel(ctx)
			go run(ctx)
			return cancel
		},
	}
}

// Use says that a unit has objects of exactly these kinds. A kind that is new
// to the view starts being watched, one that nobody uses any more stops. The
// error names kinds that the cluster does not serve.
func (v *View) Use(unit User, gvks map[schema.GroupVersionKind]bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s, k := range v.kinds {
		if gvks[s.gvk] || !k.users[unit] {
			continue
		}
		if delete(k.users, unit); len(k.users) == 0 {
			k.stop()
			delete(v.kinds, s)
		}
	}
	for gvk := range gvks {
		k, err := v.kindLocked(selection{unit.Kind, gvk})
		if err != nil {
			return err
		}
		k.users[unit] = true
	}
	return nil
}

func (v *View) kindLocked(s selection) (*kind, error) {
	if k, ok := v.kinds[s]; ok {
		return k, nil
	}
	m, err := v.cluster.Mapping(s.gvk)
	if err != nil {
		return nil, err
	}
	k := &kind{view: v, selection: s, users: map[User]bool{}, records: map[kube.Key]Record{}}
	owned := metav1.ListOptions{LabelSelector: ownerships[s.owner].name}
	k.watcher = newWatcher(v.cluster.Dynamic.Resource(m.Resource), owned, k, k.drop)
	k.stop = v.spawn(k.watcher.run)
	v.kinds[s] = k
	return k, nil
}

// Sync returns when the view is complete for the objects of a kind that belong
// to units of the kind owner. It fails when that is not in use, or the server
// refuses to list or watch it.
func (v *View) Sync(ctx context.Context, owner string, gvk schema.GroupVersionKind) error {
	v.mu.Lock()
	k, ok := v.kinds[selection{owner, gvk}]
	v.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s is not in the live view", gvk.Kind)
	}
	if err := k.watcher.wait(ctx); err != nil {
		return fmt.Errorf("watch %s: %w", gvk.Kind, err)
	}
	return nil
}

// Get tells what is known, as units of the kind owner see it, of an object that
// carries their labels, or that somebody follows by name.
func (v *View) Get(owner string, key kube.Key) (Record, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k, ok := v.kinds[selection{owner, key.GVK()}]; ok {
		if r, ok := k.records[key]; ok {
			return r, true
		}
	}
	if n, ok := v.named[key]; ok && n.object != nil {
		return Reduce(owner, n.object), true
	}
	return Record{}, false
}

// Judge says by which checks a unit's objects are to be judged from now on; nil
// for none of its own. Of objects that are in the view already only the verdict is
// kept: whoever has other checks than before observes them anew.
func (v *View) Judge(unit User, checks *health.Checks) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if checks.Empty() {
		delete(v.checks, unit)
		return
	}
	v.checks[unit] = checks
}

// reduce makes the record of an object as its unit judges it.
func (v *View) reduce(owner string, obj *unstructured.Unstructured) Record {
	r := Reduce(owner, obj)
	v.mu.Lock()
	checks := v.checks[r.Owner]
	v.mu.Unlock()
	if checks.Covers(obj.GroupVersionKind()) {
		r.Health = checks.Check(obj)
	}
	return r
}

// Observe takes the answer to a write for a unit of the kind owner, so that the
// view is never behind what we did. The event that follows changes nothing then.
func (v *View) Observe(owner string, obj *unstructured.Unstructured) Record {
	v.mu.Lock()
	k, ok := v.kinds[selection{owner, obj.GroupVersionKind()}]
	v.mu.Unlock()
	r := v.reduce(owner, obj)
	if ok && !k.passed(r) {
		k.set(r)
	}
	return r
}

// passed tells whether the watch has been beyond an object that is not in the
// selection: it came and went before the answer to our write was here. Events of
// one kind come in the order of their resource versions.
func (k *kind) passed(r Record) bool {
	k.view.mu.Lock()
	defer k.view.mu.Unlock()
	_, known := k.records[r.Key]
	return !known && k.newest != "" && !Older(k.newest, r.ResourceVersion)
}

// sawLocked notes how far the watch has come.
func (k *kind) sawLocked(resourceVersion string) {
	if k.newest == "" || Older(k.newest, resourceVersion) {
		k.newest = resourceVersion
	}
}

// Kinds is how many watches of kinds there are.
func (v *View) Kinds() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.kinds)
}

// put implements sink.
func (k *kind) put(obj *unstructured.Unstructured) {
	if !k.has(obj) {
		k.set(k.view.reduce(k.owner, obj))
	}
	k.view.mu.Lock()
	defer k.view.mu.Unlock()
	k.sawLocked(obj.GetResourceVersion())
}

// has tells whether the record of this very state of an object is there: most events
// are about our own writes, whose answers were observed.
func (k *kind) has(obj *unstructured.Unstructured) bool {
	k.view.mu.Lock()
	defer k.view.mu.Unlock()
	r, known := k.records[kube.KeyOf(obj)]
	return known && r.UID == obj.GetUID() && r.ResourceVersion == obj.GetResourceVersion()
}

func (k *kind) set(r Record) {
	k.view.mu.Lock()
	old, known := k.records[r.Key]
	if known && Older(r.ResourceVersion, old.ResourceVersion) {
		k.view.mu.Unlock()
		return
	}
	k.records[r.Key] = r
	k.view.mu.Unlock()
	switch {
	case !known:
		k.view.tell(Change{New: &r})
	case !alike(old, r):
		k.view.tell(Change{Old: &old, New: &r})
	}
}

// remove implements sink. What left the selection may have been deleted or only
// have lost its label; the record is gone in both cases, and whoever plans next
// looks.
func (k *kind) remove(obj *unstructured.Unstructured) {
	key := kube.KeyOf(obj)
	k.view.mu.Lock()
	k.sawLocked(obj.GetResourceVersion())
	old, known := k.records[key]
	if !known || Older(obj.GetResourceVersion(), old.ResourceVersion) {
		k.view.mu.Unlock()
		return
	}
	delete(k.records, key)
	k.view.mu.Unlock()
	k.view.tell(Change{Old: &old})
}

// trim implements trimmer. The record is in the view by the time that the list is
// complete, when put finds it there.
func (k *kind) trim(obj *unstructured.Unstructured) *unstructured.Unstructured {
	k.set(k.view.reduce(k.owner, obj))
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": obj.GetAPIVersion(), "kind": obj.GetKind(), "metadata": map[string]any{
		"namespace": obj.GetNamespace(), "name": obj.GetName(), "uid": string(obj.GetUID()), "resourceVersion": obj.GetResourceVersion(),
	}}}
}

// replace implements sink.
func (k *kind) replace(objs []*unstructured.Unstructured, resourceVersion string) {
	listed := make(map[kube.Key]bool, len(objs))
	for _, obj := range objs {
		listed[kube.KeyOf(obj)] = true
		k.put(obj)
	}
	for _, r := range k.missing(listed, resourceVersion) {
		k.view.tell(Change{Old: &r})
	}
}

// missing removes and returns the records that a list of that resource version
// does not have; what we wrote ourselves since then stays.
func (k *kind) missing(listed map[kube.Key]bool, resourceVersion string) []Record {
	k.view.mu.Lock()
	defer k.view.mu.Unlock()
	k.sawLocked(resourceVersion)
	var out []Record
	for key, r := range k.records {
		if !listed[key] && !Older(resourceVersion, r.ResourceVersion) {
			delete(k.records, key)
			out = append(out, r)
		}
	}
	return out
}

// drop ends the watch of a kind that the server does not serve any more.
func (k *kind) drop() {
	k.view.mu.Lock()
	k.stop()
	if k.view.kinds[k.selection] == k { // and not a watch that came after it
		delete(k.view.kinds, k.selection)
	}
	k.view.mu.Unlock()
	k.replace(nil, "")
}
