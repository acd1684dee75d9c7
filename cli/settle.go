package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// patience is after how long without an answer people are told that perhaps nobody
// is there to give one.
const patience = 10 * time.Second

// waiting is a wait for objects that an engine works on.
type waiting struct {
	cluster *kube.Cluster
	show    *progress
	token   string // the request that has to be handled first; "" for none
}

// all waits for objects side by side, until each has come to an end. The results are
// in the order of the keys; those of objects that came to none have an error too.
func (w waiting) all(ctx context.Context, keys []kube.Key) []ending {
	results := make([]ending, len(keys))
	var group errgroup.Group
	for n, key := range keys {
		group.Go(func() error {
			results[n] = w.one(ctx, key)
			return nil
		})
	}
	_ = group.Wait() // the errors are in the results
	return results
}

// one waits for one object, and tells what it says meanwhile.
func (w waiting) one(ctx context.Context, key kube.Key) ending {
	said, answered := "", false
	out := ending{key: key, Object: key.String()}
	timer := time.AfterFunc(patience, func() { w.show.line("%s", nobody) })
	defer timer.Stop()
	err := until(ctx, w.cluster, key, func(obj *unstructured.Unstructured) bool {
		v := judge(obj, w.token)
		if v.answered {
			answered = true
			timer.Stop()
		}
		if v.news != "" && v.news != said {
			said = v.news
			w.show.line("%s  %s", key, v.news)
		}
		out.Ready, out.Message, out.Revision, out.err = v.trouble == nil && v.over, v.news, v.revision, v.trouble
		return v.over
	})
	switch {
	case ctx.Err() != nil && !answered:
		out.err = fmt.Errorf("%s: %s", key, nobody)
	case ctx.Err() != nil:
		out.err = fmt.Errorf("%s is not at an end yet: %s; %s", key, said, whyHint(key))
	case err != nil:
		out.err = err
	case out.err != nil:
		out.err = fmt.Errorf("%s: %w; %s", key, out.err, whyHint(key))
	}
	return out
}

const nobody = "no engine has answered yet: is plumb running, and does it watch this namespace?"

// whyHint is the command that says more about an object.
func whyHint(key kube.Key) string {
	return fmt.Sprintf("plumb why %s/%s -n %s says more", strings.ToLower(key.GroupKind.Kind), key.Name, key.Namespace)
}

// ending is what became of an object.
type ending struct {
	Object   string `json:"object"`
	Ready    bool   `json:"ready"`
	Revision string `json:"revision,omitempty"`
	Message  string `json:"message,omitempty"`

	key kube.Key
	err error
}

// verdict is how far an object is.
type verdict struct {
	over     bool   // it has come to an end
	answered bool   // an engine has looked at it since
	news     string // what its condition says, when that is about now
	revision string
	trouble  error // why the end is no good one
}

// judge tells how far an object is, since a request that carries a token.
func judge(obj *unstructured.Unstructured, token string) verdict {
	if obj == nil {
		return verdict{over: true, answered: true, trouble: errors.New("it is not there any more")}
	}
	i, err := itemOf(obj)
	if err != nil {
		return verdict{over: true, answered: true, trouble: err}
	}
	if i.Spec.Suspend {
		return verdict{over: true, answered: true, trouble: errors.New("it was suspended meanwhile")}
	}
	if token != "" && i.handles() && i.Status.LastHandledReconcileAt != token {
		return verdict{}
	}
	c := apimeta.FindStatusCondition(i.Status.Conditions, meta.ReadyCondition)
	if c == nil || c.ObservedGeneration != i.Metadata.Generation {
		return verdict{}
	}
	v := verdict{answered: true, news: strings.ReplaceAll(c.Message, "\n", "; "), revision: rowOf(obj).revision}
	switch {
	case c.Status == metav1.ConditionTrue:
		v.over = true
	case !i.handles() && token == "":
		// What a FluxConfig says just after it was resumed is about its parts as they
		// were: they go on now, each in its time.
	case c.Status == metav1.ConditionFalse && !waitsForOthers(c.Reason):
		v.over, v.trouble = true, errors.New(v.news)
	}
	return v
}

// handles tells whether the status of a kind says which request was handled last. A
// FluxConfig is asked through what it stands for.
func (i item) handles() bool { return i.Kind != clusterconfigv1.FluxConfigKind }

// waitsForOthers tells whether a failure may pass as soon as another object is ready.
func waitsForOthers(reason string) bool {
	switch reason {
	case kustomizev1.DependencyNotReadyReason, kustomizev1.ArtifactFailedReason, meta.ProgressingReason:
		return true
	default:
		return false
	}
}

// settled is the error of results together, nil when all are well. over is the end
// of the time that there was.
func settled(ctx, limited context.Context, results []ending) error {
	var errs []error
	for _, r := range results {
		if r.err != nil {
			errs = append(errs, r.err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return ended(ctx, limited, err)
	}
	return nil
}
