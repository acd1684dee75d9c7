package engine

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// fetchers is how many sources are fetched at once.
const fetchers = 16

// grace is how long a stop waits for the passes under way.
const grace = 20 * time.Second

// Run runs an engine until ctx ends, then lets the passes under way stop. It
// returns early when the lease is lost, or with ErrNotInstalled.
func Run(ctx context.Context, o Options, started func()) error {
	if err := installed(o.Cluster, kinds(o)...); err != nil {
		return err
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	e := newEngine(ctx, o, mgr.GetClient())
	e.direct = mgr.GetAPIReader()
	if err := mgr.Add(manager.RunnableFunc(e.events.Start)); err != nil {
		return err
	}
	if !o.DryRun {
		if err := mgr.Add(manager.RunnableFunc(e.tidyOrphans)); err != nil {
			return err
		}
	}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done() // actions end with it, and note how far they came: wait for that
		e.releases.under.Wait()
		return nil
	})); err != nil {
		return err
	}
	if !o.Off.HelmReleases {
		if err := mgr.Add(manager.RunnableFunc(e.watchRecords)); err != nil {
			return err
		}
		if err := indexCharts(ctx, mgr.GetFieldIndexer()); err != nil {
			return err
		}
	}
	if err := e.watchDefinitions(ctx, mgr.GetCache()); err != nil {
		return err
	}
	for _, w := range e.controllers() {
		if err := w.add(mgr); err != nil {
			return err
		}
	}
	if started != nil {
		go func() {
			if mgr.GetCache().WaitForCacheSync(ctx) {
				started()
			}
		}()
	}
	err = e.together(ctx, mgr.Start)
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	e.events.Finish(left)
	return err
}

// kinds are those that the engine works on.
func kinds(o Options) []schema.GroupVersionKind {
	out := []schema.GroupVersionKind{
		sourcev1.GroupVersion.WithKind(sourcev1.ExternalArtifactKind),
		kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind),
		helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind),
	}
	if !o.Off.FluxConfigs {
		out = append(out, clusterconfigv1.GroupVersion.WithKind(clusterconfigv1.FluxConfigKind))
	}
	for _, kind := range o.Sources.Kinds {
		out = append(out, kind.GVK())
	}
	return out
}

// controllers are one for each kind that is worked on.
func (e *Engine) controllers() (out []control) {
	if !e.Off.Kustomizations {
		out = append(out, control{&kustomizev1.Kustomization{}, kustomizations{e}, &e.unitAlarm, e.Concurrent, e.news(kustomizev1.KustomizationKind), nil})
	}
	if !e.Off.HelmReleases {
		out = append(out, control{&helmv2.HelmRelease{}, helmReleases{e}, &e.releases.alarm, e.Concurrent, e.news(helmv2.HelmReleaseKind), nil})
	}
	if !e.Off.FluxConfigs {
		out = append(out, control{&clusterconfigv1.FluxConfig{}, fluxConfigs{e}, &e.configs.alarm, e.Concurrent, touched, e.wakeConfigs()})
	}
	if e.Off.Sources {
		return out
	}
	external := sourcev1.ExternalArtifactKind
	out = append(out, control{&sourcev1.ExternalArtifact{}, externalArtifacts{e}, e.sourceAlarms[external], fetchers, predicate.Funcs{}, nil})
	for _, kind := range e.Sources.Kinds {
		out = append(out, control{kind.New(), sources{e, kind}, e.sourceAlarms[kind.GVK().Kind], fetchers, e.news(kind.GVK().Kind), nil})
	}
	return out
}

func newManager(o Options) (manager.Manager, error) {
	lock, err := leaseLock(o)
	if err != nil {
		return nil, err
	}
	wait := grace
	lease, renew, retry := 15*time.Second, 10*time.Second, 2*time.Second
	mgr, err := manager.New(o.Cluster.Config, manager.Options{
		Scheme:                              scheme(),
		MapperProvider:                      func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return o.Cluster.Mapper(), nil },
		Logger:                              o.Log,
		Metrics:                             metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:              "0",
		LeaderElection:                      o.LeaderElection.Enabled,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       &lease,
		RenewDeadline:                       &renew,
		RetryPeriod:                         &retry,
		GracefulShutdownTimeout:             &wait,
		Cache:                               cache.Options{DefaultTransform: cache.TransformStripManagedFields(), DefaultNamespaces: inNamespaces(o.Namespaces)},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the engine: %w", err)
	}
	return mgr, nil
}

// leaseLock is the lease that makes sure of one engine per cluster.
func leaseLock(o Options) (resourcelock.Interface, error) {
	client, err := coordinationclient.NewForConfigAndClient(o.Cluster.Config, o.Cluster.HTTP)
	if err != nil {
		return nil, fmt.Errorf("prepare the lease: %w", err)
	}
	identity := o.LeaderElection.Identity
	if identity == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "plumb"
		}
		identity = fmt.Sprintf("%s_%d_%x", host, os.Getpid(), time.Now().UnixNano())
	}
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: o.LeaderElection.Namespace, Name: o.LeaderElection.Name},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}, nil
}

func inNamespaces(names []string) map[string]cache.Config {
	if len(names) == 0 {
		return nil
	}
	out := make(map[string]cache.Config, len(names))
	for _, name := range names {
		out[name] = cache.Config{}
	}
	return out
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		sourcev1.AddToScheme, kustomizev1.AddToScheme, helmv2.AddToScheme, clusterconfigv1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme, metav1.AddMetaToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two of our own kinds with one name
		}
	}
	return s
}

// control looks after the objects of one kind.
type control struct {
	kind        client.Object
	reconciler  reconcile.Reconciler
	alarm       *alarm
	concurrency int
	news        predicate.Predicate  // which changes wake it, beside its alarm
	members     handler.EventHandler // whom any change of a toolkit object wakes; nil for nobody
}

// touched is a change of the spec, the annotations or the labels; not our own
// status writes.
var touched = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{})

func (c control) add(mgr manager.Manager) error {
	name := strings.ToLower(reflect.TypeOf(c.kind).Elem().Name())
	works, err := controller.New(name, mgr, controller.Options{Reconciler: behind{c.reconciler}, MaxConcurrentReconciles: c.concurrency})
	if err != nil {
		return err
	}
	if err := works.Watch(source.Kind(mgr.GetCache(), c.kind, &handler.EnqueueRequestForObject{}, c.news)); err != nil {
		return err
	}
	if c.members != nil {
		for _, kind := range reportedKinds {
			if err := works.Watch(source.Kind(mgr.GetCache(), kind, c.members)); err != nil {
				return err
			}
		}
	}
	return works.Watch(c.alarm.source())
}

// watchDefinitions follows the CRDs, by their metadata alone.
func (e *Engine) watchDefinitions(ctx context.Context, c cache.Cache) error {
	informer, err := c.GetInformer(ctx, definitionsKind)
	if err != nil {
		return fmt.Errorf("watch CustomResourceDefinitions: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(_ any, initial bool) {
			if !initial {
				e.definitions()
			}
		},
		UpdateFunc: func(any, any) { e.definitions() },
		DeleteFunc: func(any) { e.definitions() },
	})
	return err
}
