package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig"
	"github.com/plumb-gitops/plumb/live"
)

// fluxConfigs reconciles FluxConfigs: it keeps what they stand for as package
// fluxconfig says, and sums up what that says of itself.
type fluxConfigs struct{ *Engine }

// configInputsUser follows what a FluxConfig refers to and what it stands for
// beside toolkit objects, by name.
const configInputsUser = clusterconfigv1.FluxConfigKind + " inputs"

// configUnits are what is known of FluxConfigs beside themselves.
type configUnits struct {
	alarm  alarm
	mu     sync.Mutex
	wrote  map[types.NamespacedName]*clusterconfigv1.FluxConfig // as our last write left it
	swept  map[types.NamespacedName]int64                       // the generation after which leftovers were looked for
	failed map[types.NamespacedName]int                         // failures in a row
	// busy are the namespaces out of which a configuration is worked on, with those that
	// came meanwhile. What two of a namespace share is never looked at while the other
	// one changes it.
	busy map[string]map[types.NamespacedName]bool
}

// enter takes a namespace for a pass over a configuration of it. While another one is
// at work there it is refused, and the pass is woken when that one leaves: nobody waits
// on a worker.
func (u *configUnits) enter(name types.NamespacedName) (leave func(), free bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if came, taken := u.busy[name.Namespace]; taken {
		came[name] = true
		return nil, false
	}
	u.busy[name.Namespace] = map[types.NamespacedName]bool{}
	return func() {
		u.mu.Lock()
		came := slices.Collect(maps.Keys(u.busy[name.Namespace]))
		delete(u.busy, name.Namespace)
		u.mu.Unlock()
		u.alarm.wake(came...)
	}, true
}

// configTimeout bounds a pass over a FluxConfig, which waits for nothing but answers.
const configTimeout = time.Minute

func newConfigUnits() *configUnits {
	return &configUnits{wrote: map[types.NamespacedName]*clusterconfigv1.FluxConfig{}, swept: map[types.NamespacedName]int64{}, failed: map[types.NamespacedName]int{}, busy: map[string]map[types.NamespacedName]bool{}}
}

// latest is the newest of what a cache says and what we wrote ourselves.
func (u *configUnits) latest(cached *clusterconfigv1.FluxConfig) *clusterconfigv1.FluxConfig {
	u.mu.Lock()
	defer u.mu.Unlock()
	own := u.wrote[client.ObjectKeyFromObject(cached)]
	if own != nil && own.UID == cached.UID && live.Older(cached.ResourceVersion, own.ResourceVersion) {
		return own
	}
	return cached
}

func (u *configUnits) keep(fc *clusterconfigv1.FluxConfig) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wrote[client.ObjectKeyFromObject(fc)] = fc
}

func (u *configUnits) forget(name types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.wrote, name)
	delete(u.swept, name)
	delete(u.failed, name)
}

// attempts counts failures in a row.
func (u *configUnits) attempts(name types.NamespacedName, failure error) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.failed[name]++
	if failure == nil {
		delete(u.failed, name)
	}
	return u.failed[name]
}

// configPass is one pass over one FluxConfig.
type configPass struct {
	name    types.NamespacedName
	object  *clusterconfigv1.FluxConfig
	reader  *reader
	in      fluxconfig.Inputs
	wanted  []*unstructured.Unstructured // what the configuration stands for; nil when that can't be told
	objects []fluxconfig.Object          // what the toolkit objects say
	source  sourceState
	wrote   bool // something on the cluster was not as wanted
	actions []Action
}

// Reconcile makes one pass over one FluxConfig.
func (e fluxConfigs) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	leave, free := e.configs.enter(r.NamespacedName)
	if !free {
		return reconcile.Result{}, nil
	}
	defer leave()
	limited, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	result, err := e.one(limited, r)
	if ctx.Err() != nil {
		return reconcile.Result{}, nil //nolint:nilerr // we are stopping; the next start goes on from here
	}
	return result, err
}

func (e fluxConfigs) one(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	name := objectName{clusterconfigv1.FluxConfigKind, r.NamespacedName}
	user := live.User{Kind: configInputsUser, NamespacedName: r.NamespacedName}
	found, done, err := e.enter(ctx, name, func() client.Object { return &clusterconfigv1.FluxConfig{} })
	if apierrors.IsNotFound(err) {
		e.configs.forget(r.NamespacedName)
		e.observe(Progress{Kind: clusterconfigv1.FluxConfigKind, Name: r.NamespacedName, Gone: true})
		if err := e.wakeBeside(ctx, r.Namespace); err != nil {
			return reconcile.Result{}, err
		}
		return reconcile.Result{}, e.home.view.Follow(user)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	cached, _ := found.(*clusterconfigv1.FluxConfig)
	if done == nil {
		return reconcile.Result{}, e.home.view.Follow(user) // somebody else's
	}
	defer done()
	p := &configPass{name: r.NamespacedName, object: e.configs.latest(cached).DeepCopy(), reader: e.reader(user)}
	switch {
	case p.object.DeletionTimestamp != nil:
		return reconcile.Result{}, e.takeDown(ctx, p)
	case controllerutil.AddFinalizer(p.object, clusterconfigv1.Finalizer):
		// Before the first write: from here on a deletion waits for us.
		if err := e.saveConfigFinalizers(ctx, p); err != nil {
			return reconcile.Result{}, ignoreGone(err)
		}
	}
	failure := e.provision(ctx, p)
	if ctx.Err() != nil {
		return reconcile.Result{}, errors.Join(failure, ctx.Err()) // nothing can be written any more
	}
	wait, err := e.reportConfig(ctx, p, failure)
	if err != nil {
		return reconcile.Result{}, ignoreGone(err)
	}
	e.observe(p.progress(failure, e.configs.attempts(r.NamespacedName, failure)))
	if f := new(Failure); failure != nil && !errors.As(failure, &f) {
		return reconcile.Result{}, failure // the cluster's, and passing: its status says so, and the queue spaces the attempts
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// provision makes the cluster have what the configuration stands for. A *Failure
// is the configuration's fault, or waits for an object that is followed.
func (e *Engine) provision(ctx context.Context, p *configPass) error {
	if err := e.allowedConfig(ctx, p); err != nil {
		return err
	}
	if err := e.configInputs(ctx, p); err != nil {
		return err
	}
	wanted, err := fluxconfig.Generate(p.object, p.in)
	if err != nil {
		return errors.Join(fail(clusterconfigv1.InvalidReason, Stall, err), p.reader.done())
	}
	p.wanted = wanted
	if err := e.writeWanted(ctx, p); err != nil {
		return err
	}
	if err := p.reader.done(); err != nil {
		return err
	}
	if err := e.sweep(ctx, p); err != nil {
		return err
	}
	return e.observeConfig(ctx, p)
}

// allowedConfig refuses a configuration that would change what others of its namespace
// may do. One that had been in effect loses its rights: what it applied stays as it is.
func (e *Engine) allowedConfig(ctx context.Context, p *configPass) error {
	others := &clusterconfigv1.FluxConfigList{}
	if err := e.client.List(ctx, others, client.InNamespace(p.name.Namespace)); err != nil {
		return err
	}
	for i := range others.Items {
		others.Items[i] = *e.configs.latest(&others.Items[i])
	}
	refused := fluxconfig.Refusal(p.object, others.Items)
	if refused == nil {
		return nil
	}
	_, err := e.discardShared(ctx, p.object)
	return errors.Join(fail(clusterconfigv1.InvalidReason, Stall, refused), err, p.reader.done())
}

// wakeBeside wakes the configurations of a namespace out of which one is gone: it may
// have been what they were refused for.
func (e *Engine) wakeBeside(ctx context.Context, namespace string) error {
	others := &clusterconfigv1.FluxConfigList{}
	if err := e.client.List(ctx, others, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range others.Items {
		e.configs.alarm.wake(client.ObjectKeyFromObject(&others.Items[i]))
	}
	return nil
}

// configInputs reads what the configuration is generated from.
func (e *Engine) configInputs(ctx context.Context, p *configPass) (err error) {
	if ref := p.object.Spec.ProtectedParametersSecretRef; ref != nil {
		if p.object.Generation != p.object.Status.ObservedGeneration { // both may have been written for each other
			if err := p.reader.anew(ctx, coreKey(secretKind, p.name.Namespace, ref.Name)); err != nil {
				return err
			}
		}
		p.in.Protected, err = p.reader.data(ctx, secretKind, p.name.Namespace, ref.Name)
		if absent := new(missing); errors.As(err, &absent) {
			return &Failure{Reason: clusterconfigv1.InvalidReason, Next: Wait, On: []string{absent.key.String()}, Err: fmt.Errorf("protectedParametersSecretRef: %w", err)}
		}
		if err != nil {
			return err
		}
	}
	if !fluxconfig.NeedsKey(p.object, p.in.Protected) {
		return nil
	}
	have, err := p.reader.data(ctx, secretKind, p.name.Namespace, fluxconfig.KeyName(p.object))
	if absent := new(missing); err != nil && !errors.As(err, &absent) {
		return err
	}
	if p.in.Key = have[fluxconfig.KeyEntry]; len(p.in.Key) > 0 {
		return nil
	}
	// Nobody knows of it before its Secret is there, which is created and never
	// overwritten: a crash until then only means that another one is made.
	p.in.Key, err = fluxconfig.NewKey()
	return err
}

// saveConfigFinalizers writes the finalizers, see savedFinalizers.
func (e *Engine) saveConfigFinalizers(ctx context.Context, p *configPass) error {
	object, err := savedFinalizers(ctx, e.client, p.object)
	if err != nil {
		return err
	}
	p.object = object
	e.configs.keep(object)
	return nil
}

// requested is the value of a request to reconcile.
func requested(now time.Time) string { return now.UTC().Format(time.RFC3339Nano) }
