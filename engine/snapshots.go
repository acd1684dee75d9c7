package engine

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/source"
)

// sourceName names a source object.
type sourceName struct {
	Kind string
	types.NamespacedName
}

// String is Kind/namespace/name.
func (s sourceName) String() string { return s.Kind + "/" + s.NamespacedName.String() }

func sourceOf(k *kustomizev1.Kustomization) sourceName {
	return sourceName{Kind: k.Spec.SourceRef.Kind, NamespacedName: k.GetSource()}
}

// snapshots are the snapshots in use, by source. Sources put them in, units take
// them out; there is no copy on the way.
type snapshots struct {
	mu   sync.RWMutex
	last map[sourceName]source.Snapshot // the zero Snapshot for a source that has none yet
	// made is the generation of the source that its snapshot was fetched for. The cache
	// of objects would tell that too, a little late.
	made map[sourceName]int64
}

func newSnapshots() *snapshots {
	return &snapshots{last: map[sourceName]source.Snapshot{}, made: map[sourceName]int64{}}
}

// fetched notes for which generation of a source its snapshot was fetched.
func (s *snapshots) fetched(name sourceName, generation int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[name] = generation
}

// generation is that of the source for which its snapshot was fetched.
func (s *snapshots) generation(name sourceName) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.made[name]
}

func (s *snapshots) get(name sourceName) (source.Snapshot, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	snapshot, ok := s.last[name]
	return snapshot, ok && snapshot.Tree != nil
}

// known tells whether there is a source of that name, with a snapshot or not.
func (s *snapshots) known(name sourceName) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.last[name]
	return ok
}

// set puts a snapshot into use and tells whether that changes anything.
func (s *snapshots) set(name sourceName, snapshot source.Snapshot) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.last[name]
	s.last[name] = snapshot
	return !known || old.Revision != snapshot.Revision || old.Digest != snapshot.Digest
}

// add takes note of a source; a snapshot of it that is in use stays.
func (s *snapshots) add(name sourceName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.last[name]; !known {
		s.last[name] = source.Snapshot{}
	}
}

func (s *snapshots) forget(name sourceName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, name)
	delete(s.made, name)
}

// digests are those of the content and of the archives of all snapshots in use.
func (s *snapshots) digests() (all []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, snapshot := range s.last {
		if snapshot.Tree == nil {
			continue
		}
		all = append(all, snapshot.Digest)
		if snapshot.Archive != nil {
			all = append(all, snapshot.Archive.Hash)
		}
	}
	return all
}
