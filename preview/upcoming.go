package preview

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/cli-utils/pkg/object"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/helmrel/action"
	"github.com/plumb-gitops/plumb/helmrel/client"
	"github.com/plumb-gitops/plumb/helmrel/postrender"
	"github.com/plumb-gitops/plumb/helmrel/storage"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// errLeftOut says of something that a preview does not go as far.
var errLeftOut = errors.New("which is only asked once the release is there")

// Upcoming is a cluster that HelmReleases are going to come to, or to change in.
type Upcoming struct {
	Cluster *kube.Cluster
	Sources *fetch.Backends
	// Objects are those that come along with them. What a release names is looked for
	// among these first, then on the cluster.
	Objects []*unstructured.Unstructured
}

// Prospect is what would become of one HelmRelease.
type Prospect struct {
	Name    string // namespace/name
	Version string // of its chart
	Action  helmrel.Action
	Changes []apply.Change
	Hooks   []Hook
	LeftOut string // why nobody looked
	Err     error  // why that can't be told
}

// Hook is one that the release would run, and at what.
type Hook struct {
	Key kube.Key
	At  string
}

// Prospects are those of the HelmReleases among the objects. Whatever is tried on the
// cluster is tried by dry runs, with the rights of who asks: the account that a release
// acts as may be yet to come.
func (u Upcoming) Prospects(ctx context.Context) ([]Prospect, error) {
	known, err := u.sources(ctx)
	if err != nil {
		return nil, err
	}
	capabilities, err := client.Capabilities(u.Cluster)
	if err != nil {
		return nil, err
	}
	r := &renderer{Releases: Releases{Capabilities: capabilities, Lookup: u.Cluster.Config, Sources: u.Sources, Find: u.find}, known: append(known, u.Objects...)}
	var out []Prospect
	for _, obj := range u.Objects {
		if obj.GroupVersionKind().GroupKind() != helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind).GroupKind() {
			continue
		}
		p := Prospect{Name: obj.GetNamespace() + "/" + obj.GetName()}
		hr := &helmv2.HelmRelease{}
		if p.Err = runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, hr); p.Err == nil {
			p.Err = u.prospect(ctx, r, hr, &p)
		}
		if errors.Is(p.Err, errLeftOut) {
			p.LeftOut, p.Err = p.Err.Error(), nil
		}
		out = append(out, p)
	}
	return out, nil
}

// sources are those on the cluster that do not come along in another form.
func (u Upcoming) sources(ctx context.Context) (out []*unstructured.Unstructured, err error) {
	anew := map[kube.Key]bool{}
	for _, obj := range u.Objects {
		anew[kube.KeyOf(obj)] = true
	}
	for _, kind := range u.Sources.Kinds {
		resource, err := u.Cluster.Resource(kind.GVK(), "")
		if err != nil {
			return nil, err
		}
		list, err := resource.List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.GVK().Kind, err)
		}
		for i := range list.Items {
			if obj := &list.Items[i]; !anew[kube.KeyOf(obj)] {
				out = append(out, obj)
			}
		}
	}
	return out, nil
}

func (u Upcoming) find(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error) {
	return u.get(ctx, kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: schema.GroupKind{Kind: kind}}, Version: "v1"})
}

// get reads an object, nil where there is none.
func (u Upcoming) get(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	obj, err := u.Cluster.Get(ctx, key)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, err
}

// prospect tells what would become of a release, by the same steps as the engine.
func (u Upcoming) prospect(ctx context.Context, r *renderer, hr *helmv2.HelmRelease, p *Prospect) error {
	if hr.Spec.KubeConfig != nil {
		return fmt.Errorf("spec.kubeConfig: it goes to another cluster, %w", errLeftOut)
	}
	if err := r.open(); err != nil {
		return err
	}
	chart, err := r.chart(ctx, hr)
	if err != nil {
		return err
	}
	p.Version = chart.Metadata().Version
	values, err := r.values(ctx, hr)
	if err != nil {
		return err
	}
	wish := helmrel.NewWish(hr, helmrel.Chart{Name: chart.Metadata().Name, Version: chart.Metadata().Version}, "")
	driver, err := storage.Open(ctx, u.Cluster, wish.Target)
	if err != nil {
		return err
	}
	records, err := driver.Records()
	if err != nil {
		return err
	}
	former := ""
	if p.Action = helmrel.Install; len(records) > 0 {
		p.Action, former = helmrel.Upgrade, records[0].Manifest
	}
	job := action.Job{
		Wish: wish, Values: values, Getter: client.Getter{Cluster: u.Cluster, Namespace: wish.Namespace}, Capabilities: r.Capabilities,
		Chart: chart.Copy(), PostRenderer: postrender.New(ctx, hr), Records: driver,
	}
	would, err := action.Foresee(helmrel.Step{Action: p.Action}, job)
	if err != nil {
		return err
	}
	for _, h := range would.Hooks {
		key := kube.KeyOf(h.Object)
		key.Namespace = cmp.Or(key.Namespace, wish.Namespace)
		p.Hooks = append(p.Hooks, Hook{key, h.At})
	}
	p.Changes, err = u.changes(ctx, hr, wish, records, would, former)
	return err
}

// changes are what writing a release would do. Where its namespace is not there yet
// nothing can be tried, and nothing can be there.
func (u Upcoming) changes(ctx context.Context, hr *helmv2.HelmRelease, wish helmrel.Wish, records []helmrel.Record, would *action.Prospect, former string) (out []apply.Change, err error) {
	namespace, err := u.get(ctx, kube.Key{ObjMetadata: object.ObjMetadata{Name: wish.Namespace, GroupKind: schema.GroupKind{Kind: "Namespace"}}, Version: "v1"})
	if err != nil {
		return nil, err
	}
	if namespace == nil {
		objs, err := parsed(would.Manifest, wish.Namespace)
		for _, obj := range objs {
			out = append(out, apply.Change{Key: kube.KeyOf(obj), Action: apply.Created})
		}
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // it ends the watches of the view
	install := hr.Spec.Install
	c := client.New(ctx, client.Options{
		Cluster: u.Cluster, View: live.New(ctx, u.Cluster, func(live.Change) {}), Release: wish.Name, Namespace: wish.Namespace,
		Owner:            live.User{Kind: helmv2.HelmReleaseKind, NamespacedName: types.NamespacedName{Namespace: hr.Namespace, Name: hr.Name}},
		ServerSide:       helmrel.AppliesServerSide(wish, helmrel.Install, records),
		CreatesNamespace: install != nil && install.CreateNamespace,
		Force:            len(records) > 0 && hr.Spec.Upgrade != nil && hr.Spec.Upgrade.Force,
		Former:           helmrel.Remaining(records).Manifests,
	})
	defer func() { err = errors.Join(err, c.Close()) }()
	return c.Foresee(would.Manifest, former, would.Definitions, would.Policy)
}
