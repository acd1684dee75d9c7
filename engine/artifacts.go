package engine

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/source"
)

// artifactHost is where an artifact server is in a cluster, unless a setting says
// otherwise.
const artifactHost = "plumb.flux-system.svc.cluster.local."

// archiveName is the file name of the archive of a snapshot: what tells its
// revision from others.
func archiveName(s source.Snapshot) string {
	return s.Revision[strings.LastIndex(s.Revision, ":")+1:] + ".tar.gz"
}

// artifactFolder is where the archives of a source are served.
func artifactFolder(name sourceName) string {
	return fmt.Sprintf("%s/%s/%s", strings.ToLower(name.Kind), name.Namespace, name.Name)
}

// store notes in the status which snapshot is in use, and where others get it. Where
// archives are served, the digest is the archive's and there is a size; else it names
// the content.
func (e *Engine) store(ctx context.Context, name sourceName, obj fetch.Object, s source.Snapshot) error {
	if s.Tree == nil {
		return nil // nothing that others could use
	}
	if e.Artifacts != nil {
		packed, err := e.Artifacts.Pack(ctx, s)
		if err != nil {
			return err
		}
		e.Artifacts.Offer(artifactFolder(name), archiveName(s), packed)
		s.Archive = &packed
	}
	next := &meta.Artifact{Revision: s.Revision, Digest: s.Digest, Metadata: s.Metadata, LastUpdateTime: metav1.NewTime(e.now())}
	if s.Archive != nil {
		next.Digest, next.Size = "sha256:"+s.Archive.Hash, &s.Archive.Size
	}
	host := e.ArtifactHost
	if host == "" {
		host = artifactHost
	}
	next.Path = artifactFolder(name) + "/" + archiveName(s)
	next.URL = "http://" + host + "/" + next.Path
	have := obj.GetArtifact()
	if have != nil && have.Revision == next.Revision && have.Digest == next.Digest && have.URL == next.URL && maps.Equal(have.Metadata, next.Metadata) {
		return nil // since when it is there stays
	}
	obj.SetArtifact(next)
	return nil
}

// offer serves again what was served before a restart.
func (e *Engine) offer(ctx context.Context, name sourceName, s source.Snapshot) {
	if e.Artifacts == nil || s.Tree == nil {
		return
	}
	packed, err := e.Artifacts.Pack(ctx, s)
	if err != nil {
		e.log.Error(err, "cannot serve the artifact", "source", name.String())
		return
	}
	e.Artifacts.Offer(artifactFolder(name), archiveName(s), packed)
}

// inUse are the digests of what sources brought and somebody needs.
func (e *Engine) inUse() []string {
	all := e.snapshots.digests()
	if e.Artifacts != nil {
		all = append(all, e.Artifacts.InUse()...)
	}
	return all
}

// tidying is the removal of what sources brought and nobody needs any more. There is
// nothing to do unless a source has changed, so it comes after that; and seldom.
type tidying struct {
	mu      sync.Mutex
	running bool
	last    time.Time
}

// most often is how often it happens, unless the retention is shorter.
const tidyGap = time.Minute

// begin tells whether to go on; end has to follow then.
func (t *tidying) begin(now time.Time, gap time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running || now.Sub(t.last) < gap {
		return false
	}
	t.running, t.last = true, now
	return true
}

func (t *tidying) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = false
}

// tidy removes in the background what nobody needs. After a start it waits until all
// sources have their snapshots back: what is not in use yet would look useless.
func (e *Engine) tidy(ctx context.Context) {
	if e.DryRun || !e.tidying.begin(e.now(), min(tidyGap, e.Sources.Retention)) {
		return
	}
	whole, err := e.allRestored(ctx)
	if err != nil || !whole {
		e.tidying.end()
		return
	}
	go func() {
		defer e.tidying.end()
		if err := e.Sources.Collect(); err != nil {
			e.log.Error(err, "cannot remove what no source needs any more")
		}
	}()
}

// allRestored tells whether every source was looked at since the start.
func (e *Engine) allRestored(ctx context.Context) (bool, error) {
	for _, kind := range e.Sources.Kinds {
		gvk := kind.GVK()
		made, err := e.client.Scheme().New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		if err != nil {
			return false, err
		}
		list, _ := made.(client.ObjectList)
		if err := e.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return false, err
		}
		whole := true
		err = apimeta.EachListItem(list, func(item runtime.Object) error {
			obj, ok := item.(client.Object)
			whole = whole && ok && e.snapshots.known(sourceName{gvk.Kind, client.ObjectKeyFromObject(obj)})
			return nil
		})
		if err != nil || !whole {
			return false, err
		}
	}
	return true, nil
}
