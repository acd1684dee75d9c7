package engine

import (
	"context"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/storage"
)

// recordsNow are the records of a release. They are read once in a pass, since it knows
// what it wrote itself; and again after an error, which may have hidden an answer. What
// somebody else writes meanwhile shows as a conflict, or wakes the release.
func (e *Engine) recordsNow(ctx context.Context, p *releasePass, target helmrel.Target) (f *found, err error) {
	if p.records == nil || p.recordsOf != target {
		p.records, err = e.openRecords(ctx, p, target)
		if p.wish.Deleting && p.account != "" && anyForbidden(err) {
			p.cluster, p.account = p.connection.cluster, "" // its account, or the rights of that, went before it
			p.records, err = e.openRecords(ctx, p, target)
		}
		if err != nil {
			return nil, err
		}
		p.recordsOf = target
		e.releases.noteRecords(p.unit, target, p.records.Versions())
	}
	f = &found{driver: p.records}
	f.records, err = p.records.Records()
	return f, err
}

// openRecords reads the records, unless the watch of all records has told that they are
// as the last pass left them, or that there are none. That the watch is behind does no
// harm: a write that does not find what it goes by is not made, and the pass after such
// an end reads them. So do passes that somebody asks for, and once in a while any.
func (e *Engine) openRecords(ctx context.Context, p *releasePass, target helmrel.Target) (*storage.Driver, error) {
	at := recordsAt{target.StorageNamespace, target.Name}
	asked := p.object.Annotations[meta.ReconcileRequestAnnotation] != p.status.LastHandledReconcileAt
	doubted := p.connection != e.home || p.wish.Deleting || p.tried != nil || p.unit.attempts() > 0 || asked
	kept, read := p.unit.keptRecords(at)
	switch {
	case !doubted && kept != nil && p.begun.Before(read.Add(e.VerifyInterval)):
		p.recordsRead = read
		return storage.Resume(ctx, p.cluster, target, kept)
	case !doubted && kept == nil && len(p.status.History) == 0 && e.releases.names.none(at):
		return storage.Resume(ctx, p.cluster, target, nil)
	}
	return storage.Open(ctx, p.cluster, target)
}

// keptBytes is how much of a release's records is kept between passes. Most are smaller.
const keptBytes = 32 << 10

// keepRecords keeps the records as a pass leaves them.
func (e *Engine) keepRecords(p *releasePass) {
	if p.records == nil || p.connection != e.home {
		return
	}
	secrets, size := p.records.Secrets(), 0
	for _, secret := range secrets {
		size += len(secret.Data["release"])
	}
	if size <= keptBytes {
		p.unit.keepRecords(recordsAt{p.recordsOf.StorageNamespace, p.recordsOf.Name}, p.records.Versions(), secrets, p.recordsRead)
	}
}

// keepRecords keeps records, if nothing newer was noted since.
func (u *releaseUnit) keepRecords(at recordsAt, versions map[string]string, secrets []*corev1.Secret, read time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records.at == at && maps.Equal(u.records.versions, versions) {
		u.records.kept, u.records.read = secrets, read
	}
}

// keptRecords are the records as the last pass left them, and when they were read last;
// nil when that is not known.
func (u *releaseUnit) keptRecords(at recordsAt) (secrets []*corev1.Secret, read time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records.at != at {
		return nil, time.Time{}
	}
	return u.records.kept, u.records.read
}

// recordNames are the names of all records that the watch has seen.
type recordNames struct {
	mu    sync.Mutex
	whole map[string]bool // whether all of a namespace have been seen, "" for all namespaces
	there map[recordsAt]map[string]bool
}

// begin forgets what is known of a namespace.
func (n *recordNames) begin(namespace string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.whole, namespace)
	maps.DeleteFunc(n.there, func(at recordsAt, _ map[string]bool) bool { return namespace == "" || at.namespace == namespace })
}

// synced notes that all records of a namespace have been seen.
func (n *recordNames) synced(namespace string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.whole == nil {
		n.whole = map[string]bool{}
	}
	n.whole[namespace] = true
}

// note notes a record that is there, or is gone.
func (n *recordNames) note(at recordsAt, secret string, there bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !there {
		if delete(n.there[at], secret); len(n.there[at]) == 0 {
			delete(n.there, at)
		}
		return
	}
	if n.there == nil {
		n.there = map[recordsAt]map[string]bool{}
	}
	if n.there[at] == nil {
		n.there[at] = map[string]bool{}
	}
	n.there[at][secret] = true
}

// none tells whether it is known that a release has no records.
func (n *recordNames) none(at recordsAt) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return (n.whole[""] || n.whole[at.namespace]) && len(n.there[at]) == 0
}
