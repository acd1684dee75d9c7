package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/dag"
	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/helmrel/charts"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/memory"
	"github.com/plumb-gitops/plumb/live"
	"github.com/plumb-gitops/plumb/source/artifact"
)

// View is what the engine needs of the live view.
type View interface {
	apply.View
	Judge(unit live.User, checks *health.Checks)
	Follow(user live.User, keys ...kube.Key) error
	FollowToo(user live.User, key kube.Key) error
	Followers(key kube.Key) []live.User
	Object(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error)
	Refresh(ctx context.Context, key kube.Key) error
	Listen(keys []kube.Key, hear func(live.Change)) (stop func())
}

// Options are the settings of an engine.
type Options struct {
	Cluster        *kube.Cluster
	Sources        *fetch.Backends
	Off            Parts // what is not worked on
	Log            logr.Logger
	Concurrent     int           // passes under way at once
	RemoteBases    bool          // may kustomizations load bases from elsewhere
	VerifyInterval time.Duration // how often everything is looked at anew
	// OwnNamespaceOnly refuses references to objects in other namespaces.
	OwnNamespaceOnly bool
	// DefaultServiceAccount is whom a unit acts as that names nobody; "" for the
	// engine itself.
	DefaultServiceAccount string
	Remote                kube.RemoteOptions // what kubeconfigs of other clusters may ask for
	// StrictSubstitution makes a variable that is not defined an error.
	StrictSubstitution bool
	// HelmDrift puts drift back of HelmReleases whose driftDetection says nothing.
	HelmDrift bool
	// AdditiveReadyExpr asks of a dependency with a readyExpr to be Ready as well.
	AdditiveReadyExpr bool
	// Heavy admits rendering by its estimated bytes; nil admits all.
	Heavy        *memory.Gate
	DriftRules   drift.Rules // the built-in rules that are on
	Drift        *drift.Log  // takes what was found
	OwnNamespace string      // where Plumb itself runs, "" when outside of the cluster
	// Artifacts takes the archives of sources to serve; nil where nobody does.
	Artifacts *artifact.Server
	// ArtifactHost is the host and port at which clients reach that server; "" for
	// the Service that `plumb install` makes.
	ArtifactHost   string
	Namespaces     []string // work on objects of these only; all when empty
	LeaderElection Election
	// Known keeps over restarts what is known of the objects of units; nil for nothing.
	Known Known
	// InventoryBytes is how much of an inventory a status may hold; a larger one is
	// kept in ConfigMaps. 0 stands for the constant of that name.
	InventoryBytes int
	Shards         *Shards // which objects are worked on; all when nil
	// DryRun writes nothing: passes end with what they would do.
	DryRun bool
	// Observe, when set, is told how each pass ended. It must not block.
	Observe func(Progress)
}

// Parts are the kinds of work that an engine does.
type Parts struct {
	Sources        bool
	Kustomizations bool
	HelmReleases   bool
	FluxConfigs    bool
}

// Election tells whether and where to take the lease that makes sure of one
// engine per cluster.
type Election struct {
	Enabled   bool
	Namespace string
	Name      string
	Identity  string // who we are; made up when empty
}

// Progress is how one pass over one object ended.
type Progress struct {
	Kind   string
	Name   types.NamespacedName
	Source string // of a Kustomization or a HelmRelease, as Kind/namespace/name
	// SourceRevision is what the pass was made from, where Outcome.Revision says it in
	// other words; else "".
	SourceRevision string
	Outcome        Outcome
	Attempts       int // failures in a row
	Objects        int // how many objects it has
	Suspended      bool
	Gone           bool
}

// ID is Kind/namespace/name.
func (p Progress) ID() string { return p.Kind + "/" + p.Name.String() }

// Engine keeps one cluster as its sources say.
type Engine struct {
	Options

	client       client.Client
	direct       client.Reader // reads from the API server; for what others worked on
	share        *share
	home         *connection // the cluster with our own objects
	connections  *connections
	log          logr.Logger
	events       *recorder
	graph        *dag.Graph[types.NamespacedName]
	units        *units
	snapshots    *snapshots
	retries      *retries
	unitAlarm    alarm
	sourceAlarms map[string]*alarm // by kind
	sourceUses   *sourceUses
	now          func() time.Time
	tidying      tidying
	inventories  *inventories
	chunks       *chunkIndex
	// otherUnits are the kinds of units beside Kustomization.
	otherUnits map[string]otherUnits
	releases   *releaseUnits
	configs    *configUnits
	charts     *charts.Cache
}

// newEngine wires an engine whose watches end with ctx.
func newEngine(ctx context.Context, o Options, c client.Client) *Engine {
	instance, err := os.Hostname()
	if err != nil {
		instance = "plumb"
	}
	if o.DryRun {
		c = client.NewDryRunClient(c)
	}
	e := &Engine{
		Options:      o,
		client:       c,
		log:          o.Log,
		events:       newRecorder(c, o.Log, instance),
		graph:        dag.New(byName),
		units:        &units{set: map[types.NamespacedName]*unit{}, cycles: map[types.NamespacedName]bool{}},
		snapshots:    newSnapshots(),
		retries:      newRetries(),
		sourceAlarms: map[string]*alarm{},
		sourceUses:   newSourceUses(),
		otherUnits:   map[string]otherUnits{},
		now:          time.Now,
		releases:     newReleaseUnits(ctx, max(o.Concurrent, 1), o.HelmDrift),
		configs:      newConfigUnits(),
		charts:       charts.New(chartBytes),
		inventories:  &inventories{read: map[types.UID]readInventory{}},
		chunks:       &chunkIndex{cluster: o.Cluster, namespaces: o.Namespaces},
	}
	e.otherUnits[helmv2.HelmReleaseKind] = otherUnits{
		exists: e.releaseExists,
		changed: func(owner types.NamespacedName, _ *connection, c live.Change) {
			if u := e.releases.get(owner); u != nil && u.touched(c) {
				e.releases.alarm.wake(owner)
			}
		},
	}
	e.otherUnits[releaseInputsUser] = otherUnits{follows: func(owner types.NamespacedName) { e.releases.alarm.wake(owner) }}
	e.otherUnits[configInputsUser] = otherUnits{follows: func(owner types.NamespacedName) { e.configs.alarm.wake(owner) }}
	if e.share = newShare(o.Shards); e.share != nil {
		e.share.wake, e.share.stop, e.share.came = e.wakeObject, e.stopWork, e.chunks.forget
	}
	for _, kind := range o.Sources.Kinds {
		e.sourceAlarms[kind.GVK().Kind] = &alarm{}
	}
	e.sourceAlarms[sourcev1.ExternalArtifactKind] = &alarm{}
	o.Sources.Keep(e.inUse)
	e.connections = &connections{byID: map[string]*connection{}, open: func(id string, cluster *kube.Cluster) *connection {
		return e.connection(ctx, id, cluster)
	}}
	e.home = e.connection(ctx, "", o.Cluster)
	e.connections.byID[""] = e.home
	return e
}

// connection starts a live view of a cluster; it ends with ctx, or when stopped.
func (e *Engine) connection(ctx context.Context, id string, cluster *kube.Cluster) *connection {
	ctx, stop := context.WithCancel(ctx)
	c := &connection{id: id, cluster: cluster, stop: stop, users: map[live.User]bool{}, as: map[string]*kube.Cluster{}}
	c.view = live.New(ctx, cluster, func(change live.Change) { e.changed(c, change) })
	return c
}

// known tells whether there is a unit of that kind and name.
func (e *Engine) known(unit live.User) bool {
	if unit.Kind == kustomizev1.KustomizationKind {
		return e.exists(unit.NamespacedName)
	}
	known := e.otherUnits[unit.Kind]
	return known.exists != nil && known.exists(unit.NamespacedName)
}

// exists tells whether there is a Kustomization of that name.
func (e *Engine) exists(name types.NamespacedName) bool {
	u, ok := e.units.get(name)
	if !ok {
		return false
	}
	k, _ := u.state()
	return k != nil && k.DeletionTimestamp == nil
}

func (e *Engine) observe(p Progress) {
	if e.Observe != nil {
		e.Observe(p)
	}
}

func byName(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// ErrNotInstalled says that the cluster lacks the definitions of our kinds.
var ErrNotInstalled = errors.New("the cluster does not know Plumb's kinds: run `plumb install --crds-only` first")

// installed checks that the cluster serves the kinds that the engine watches.
func installed(cluster *kube.Cluster, kinds ...schema.GroupVersionKind) error {
	for _, gvk := range kinds {
		if _, err := cluster.Mapping(gvk); err != nil {
			return fmt.Errorf("%w (%s: %w)", ErrNotInstalled, gvk.Kind, err)
		}
	}
	return nil
}

var definitionsKind = &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"}}
