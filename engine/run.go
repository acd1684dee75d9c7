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
	kinds := []client.Object{&sourcev1.GitRepository{}, &kustomizev1.Kustomization{}}
	if err := installed(o.Cluster, sourcev1.GroupVersion.WithKind(gitRepositoryKind), kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind)); err != nil {
		return err
	}
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	e := newEngine(ctx, o, mgr.GetClient())
	if err := mgr.Add(manager.RunnableFunc(e.events.Start)); err != nil {
		return err
	}
	if err := e.watchDefinitions(ctx, mgr.GetCache()); err != nil {
		return err
	}
	workers := []struct {
		reconciler  reconcile.Reconciler
		alarm       *alarm
		concurrency int
	}{
		{gitRepositories{e}, &e.sourceAlarm, fetchers},
		{kustomizations{e}, &e.unitAlarm, o.Concurrent},
	}
	for i, w := range workers {
		if err := control(mgr, kinds[i], w.reconciler, w.alarm, w.concurrency); err != nil {
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
	return mgr.Start(ctx)
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
		sourcev1.AddToScheme, kustomizev1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme, metav1.AddMetaToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // two of our own kinds with one name
		}
	}
	return s
}

// control starts one kind's controller. It is woken by changes of the spec and
// the annotations, and by its alarm; not by our own status writes.
func control(mgr manager.Manager, kind client.Object, r reconcile.Reconciler, a *alarm, concurrency int) error {
	name := strings.ToLower(reflect.TypeOf(kind).Elem().Name())
	c, err := controller.New(name, mgr, controller.Options{Reconciler: r, MaxConcurrentReconciles: concurrency})
	if err != nil {
		return err
	}
	touched := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{})
	if err := c.Watch(source.Kind(mgr.GetCache(), kind, &handler.EnqueueRequestForObject{}, touched)); err != nil {
		return err
	}
	return c.Watch(a.source())
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
