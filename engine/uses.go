package engine

import (
	"maps"
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// sourceUses is who uses which sources: units what they build from, a HelmChart its
// repository, a GitRepository what it includes. It is kept both ways, so that a source
// that changes finds its users without a look at anybody else.
type sourceUses struct {
	mu    sync.Mutex
	uses  map[objectName]map[sourceName]bool // by user
	users map[sourceName]map[objectName]bool // by source
}

func newSourceUses() *sourceUses {
	return &sourceUses{uses: map[objectName]map[sourceName]bool{}, users: map[sourceName]map[objectName]bool{}}
}

func (s *sourceUses) add(user objectName, used sourceName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(user, used)
}

func (s *sourceUses) addLocked(user objectName, used sourceName) {
	put(s.uses, user, used)
	put(s.users, used, user)
}

// keep forgets all uses but these.
func (s *sourceUses) keep(user objectName, used ...sourceName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for former := range s.uses[user] {
		if !slices.Contains(used, former) {
			drop(s.uses, user, former)
			drop(s.users, former, user)
		}
	}
	for _, name := range used {
		s.addLocked(user, name)
	}
}

// of are the users of a source.
func (s *sourceUses) of(used sourceName) []objectName {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.users[used]))
}

// put adds a value to those of a key.
func put[K, V comparable](m map[K]map[V]bool, key K, value V) {
	if m[key] == nil {
		m[key] = map[V]bool{}
	}
	m[key][value] = true
}

// drop takes a value away from those of a key.
func drop[K, V comparable](m map[K]map[V]bool, key K, value V) {
	delete(m[key], value)
	if len(m[key]) == 0 {
		delete(m, key)
	}
}

// buildsFrom notes the source of a Kustomization. It is called before a pass looks for
// its snapshot: a change from then on wakes the unit.
func (s *sourceUses) buildsFrom(k *kustomizev1.Kustomization) {
	s.keep(objectName{kustomizev1.KustomizationKind, client.ObjectKeyFromObject(k)}, sourceOf(k))
}

// installsFrom notes the source of a HelmRelease's chart, as buildsFrom does.
func (s *sourceUses) installsFrom(hr *helmv2.HelmRelease) {
	kind, name := hr.GetChart()
	s.keep(objectName{helmv2.HelmReleaseKind, client.ObjectKeyFromObject(hr)}, sourceName{Kind: kind, NamespacedName: name})
}
