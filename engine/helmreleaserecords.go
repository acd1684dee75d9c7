package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/storage"
	"github.com/plumb-gitops/plumb/live"
)

// watchRecords sees what the helm command line does to releases of this cluster: each
// of its commands writes to a record. One watch is for all of them, by metadata alone;
// records in namespaces that the engine does not work in are looked at when their
// release is. It returns at once, and ends with ctx.
func (e *Engine) watchRecords(ctx context.Context) error {
	client, err := metadata.NewForConfig(e.Cluster.Config)
	if err != nil {
		return err
	}
	namespaces := e.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		secrets := client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace)
		selected := func(o metav1.ListOptions) metav1.ListOptions {
			o.LabelSelector, o.FieldSelector = storage.Selector, storage.FieldSelector
			return o
		}
		lw := &toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return secrets.List(ctx, selected(o))
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return secrets.Watch(ctx, selected(o))
			},
		}
		options := toolscache.ReflectorOptions{Name: "records"}
		go toolscache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, &records{e, namespace}, options).RunWithContext(ctx)
	}
	return nil
}

// records is a cache.ReflectorStore that keeps names alone.
type records struct {
	*Engine
	namespace string // "" for all
}

// Add implements cache.ReflectorStore.
func (s *records) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *records) Update(obj any) error {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		s.seen(m, m.ResourceVersion)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *records) Delete(obj any) error {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		s.seen(m, "")
	}
	return nil
}

// Replace implements cache.ReflectorStore: what was deleted while nobody watched is
// found by what is not in the list.
func (s *records) Replace(list []any, _ string) error {
	there := map[string]bool{}
	s.releases.names.begin(s.namespace)
	for _, obj := range list {
		if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
			there[m.Namespace+"/"+m.Name] = true
			s.seen(m, m.ResourceVersion)
		}
	}
	s.releases.names.synced(s.namespace)
	for _, u := range s.releases.all() {
		if u.lost(s.namespace, there) {
			s.releases.alarm.wake(u.name)
		}
	}
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do.
func (s *records) Resync() error { return nil }

// seen takes a record as it is now, with an empty resource version when it is gone.
func (s *records) seen(m *metav1.PartialObjectMetadata, resourceVersion string) {
	at := recordsAt{m.Namespace, m.Labels["name"]}
	s.releases.names.note(at, m.Name, resourceVersion != "")
	for _, u := range s.releases.recordedAt(at) {
		if u.recorded(m.Name, resourceVersion) {
			s.releases.alarm.wake(u.name)
		}
	}
}

// recordsAt is where the records of a release are, and how it is called there.
type recordsAt struct{ namespace, name string }

// recordedAt are the HelmReleases whose records are there; two by mistake.
func (s *releaseUnits) recordedAt(at recordsAt) []*releaseUnit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.recorded[at]))
}

// noteRecords keeps what a pass saw or wrote of a release's records.
func (s *releaseUnits) noteRecords(u *releaseUnit, target helmrel.Target, versions map[string]string) {
	at := recordsAt{target.StorageNamespace, target.Name}
	s.mu.Lock()
	s.unrecordLocked(u)
	if s.recorded[at] == nil {
		s.recorded[at] = map[*releaseUnit]bool{}
	}
	s.recorded[at][u] = true
	s.mu.Unlock()
	u.noteRecords(at, versions)
}

// unrecordLocked takes a unit off where its records were last.
func (s *releaseUnits) unrecordLocked(u *releaseUnit) {
	u.mu.Lock()
	at := u.records.at
	u.mu.Unlock()
	if delete(s.recorded[at], u); len(s.recorded[at]) == 0 {
		delete(s.recorded, at)
	}
}

// recordsOf are the records of a release as of the last look.
type recordsOf struct {
	at       recordsAt
	versions map[string]string // resource versions, by name of the Secret
	kept     []*corev1.Secret  // they themselves, nil when they have to be read
	read     time.Time         // when all of them were
	// news is what was seen of them during a pass, "" for those that are gone. Only its
	// end can tell the pass's own writes from those of others.
	news map[string]string
}

// noteRecords keeps what a pass saw or wrote.
func (u *releaseUnit) noteRecords(at recordsAt, versions map[string]string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.records.at, u.records.versions, u.records.kept = at, versions, nil
}

// recorded takes a change of a record, and tells whether the release has to be looked
// at for it: not for what its own pass wrote.
func (u *releaseUnit) recorded(secret, resourceVersion string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	r := &u.records
	switch {
	case u.working:
		r.news[secret] = resourceVersion
		return false
	case !r.unknown(secret, resourceVersion):
		return false
	}
	u.dirty, r.kept = true, nil
	return true
}

// lost tells whether a record is gone, by a list of all in a namespace.
func (u *releaseUnit) lost(namespace string, there map[string]bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.records.at.namespace
	if u.working || at == "" || namespace != "" && namespace != at {
		return false
	}
	for secret := range u.records.versions {
		if !there[at+"/"+secret] {
			u.dirty, u.records.kept = true, nil
			return true
		}
	}
	return false
}

func (r *recordsOf) unknown(secret, resourceVersion string) bool {
	known, ok := r.versions[secret]
	if resourceVersion == "" {
		return ok
	}
	return !ok || live.Older(known, resourceVersion)
}

// overtaken tells, at the end of a pass, whether others wrote meanwhile.
func (r *recordsOf) overtaken() bool {
	defer func() { r.news = nil }()
	for secret, resourceVersion := range r.news {
		if r.unknown(secret, resourceVersion) {
			r.kept = nil
			return true
		}
	}
	return false
}
