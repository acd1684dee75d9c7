package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// sourceReader is what a source may read of the cluster: what its spec names, in
// its own namespace. It is a fetch.Cluster.
type sourceReader struct {
	*reader
	engine *Engine
	name   sourceName
	uses   map[sourceName]bool // the other sources that were read
}

func (e *Engine) sourceReader(name sourceName) *sourceReader {
	user := live.User{Kind: name.Kind, NamespacedName: name.NamespacedName}
	return &sourceReader{reader: e.reader(user), engine: e, name: name, uses: map[sourceName]bool{}}
}

// done ends following what was not read this time.
func (r *sourceReader) done() error {
	r.engine.sourceUses.keep(objectName(r.name), slices.Collect(maps.Keys(r.uses))...)
	return r.reader.done()
}

// Secret implements fetch.Cluster.
func (r *sourceReader) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	return r.data(ctx, secretKind, r.name.Namespace, name)
}

// ServiceAccount implements fetch.Cluster.
func (r *sourceReader) ServiceAccount(ctx context.Context, name string) (*cloud.ServiceAccount, []string, error) {
	account, err := r.engine.serviceAccount(ctx, r.reader, r.name.Namespace, name)
	if err != nil {
		return nil, nil, err
	}
	found, err := r.object(ctx, coreKey(serviceAccountKind, r.name.Namespace, name))
	if err != nil || found == nil {
		return account, nil, err
	}
	return account, pullSecrets(found), nil
}

// pullSecrets are the names in a service account's imagePullSecrets.
func pullSecrets(account *unstructured.Unstructured) []string {
	refs, _, _ := unstructured.NestedSlice(account.Object, "imagePullSecrets") // the API server has checked its form
	var names []string
	for _, ref := range refs {
		if fields, ok := ref.(map[string]any); ok {
			names = append(names, fmt.Sprint(fields["name"]))
		}
	}
	return names
}

// Source implements fetch.Cluster.
func (r *sourceReader) Source(ctx context.Context, kind, name string) (fetch.Object, source.Snapshot, error) {
	used := sourceName{Kind: kind, NamespacedName: types.NamespacedName{Namespace: r.name.Namespace, Name: name}}
	r.use(used)
	for _, k := range r.engine.Sources.Kinds {
		if k.GVK().Kind != kind {
			continue
		}
		obj := k.New()
		err := r.engine.client.Get(ctx, used.NamespacedName, obj)
		if apierrors.IsNotFound(err) {
			return nil, source.Snapshot{}, &fetch.Error{Reason: sourcev1.SourceUnavailableReason, On: used.String(), Err: fmt.Errorf("source '%s' not found", used)}
		}
		snapshot, ok := r.engine.snapshots.get(used)
		if !ok {
			r.engine.lacking(used)
		}
		return obj, snapshot, err
	}
	return nil, source.Snapshot{}, &source.InvalidError{Err: fmt.Errorf("%s is no kind of source", kind)}
}

// HelmRepositories implements fetch.Cluster.
func (r *sourceReader) HelmRepositories(ctx context.Context) ([]*sourcev1.HelmRepository, error) {
	list := &sourcev1.HelmRepositoryList{}
	if err := r.engine.client.List(ctx, list, client.InNamespace(r.name.Namespace)); err != nil {
		return nil, err
	}
	out := make([]*sourcev1.HelmRepository, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
		r.use(sourceName{Kind: sourcev1.HelmRepositoryKind, NamespacedName: client.ObjectKeyFromObject(out[i])})
	}
	slices.SortFunc(out, func(a, b *sourcev1.HelmRepository) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// use notes a source before it is looked at: a change from then on wakes the user.
func (r *sourceReader) use(used sourceName) {
	r.uses[used] = true
	r.engine.sourceUses.add(objectName(r.name), used)
}
