package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/explain"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// requestFlags are those of `reconcile KIND/NAME`.
type requestFlags struct {
	selection
	withSource bool
	force      bool
	reset      bool
	noWait     bool
}

func (f *requestFlags) add(g *global, cmd *cobra.Command) {
	f.selection.add(g, cmd)
	f.selection.addAll(cmd)
	cmd.Flags().BoolVar(&f.withSource, "with-source", false, "have the sources looked at first: of a HelmRelease its repository and chart, of a FluxConfig its source")
	cmd.Flags().BoolVar(&f.force, "force", false, "have HelmReleases released again, though nothing changed")
	cmd.Flags().BoolVar(&f.reset, "reset", false, "have HelmReleases forget how often they failed")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "only ask, and do not wait for what comes of it")
}

// requester asks a running engine to look at objects now.
type requester struct {
	requestFlags
	*lookup
	out  io.Writer
	show *progress
	wait waiting
}

// requestObjects is `reconcile KIND/NAME`.
func requestObjects(ctx context.Context, g *global, f reconcileFlags, args []string) error {
	if err := checkOutput(f.output, textForms); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	s, err := f.read(limited, g, args, true, "nothing else can be reconciled")
	if err != nil {
		return ended(ctx, limited, err)
	}
	show := newProgress(g.err)
	r := &requester{f.requestFlags, s.lookup, g.out, show, waiting{cluster: s.Cluster, show: show, token: time.Now().Format(time.RFC3339Nano)}}
	// Objects that a word for many kinds names by the way need not be able to.
	ranks, err := r.plan(limited, s.found, !s.several() || len(s.requests[0].names) > 0)
	if err != nil {
		return ended(ctx, limited, err)
	}
	results, err := r.run(ctx, limited, ranks)
	return errors.Join(err, errors.Join(s.missing...), r.print(f.output, results))
}

// rank is when a kind's turn comes: what others are made from first.
func rank(key kube.Key) int {
	switch key.GroupKind.Kind {
	case sourcev1.HelmChartKind:
		return 1
	case kustomizev1.KustomizationKind, helmv2.HelmReleaseKind:
		return 2
	case clusterconfigv1.FluxConfigKind:
		return 3
	default:
		return 0
	}
}

// plan puts what is to be asked for in the order of ranks, after it was found that
// all of it can be. Nothing is asked for before that.
func (r *requester) plan(ctx context.Context, found []unstructured.Unstructured, strict bool) ([4][]kube.Key, error) {
	var ranks [4][]kube.Key
	add := func(key kube.Key) {
		if at := &ranks[rank(key)]; !slices.Contains(*at, key) {
			*at = append(*at, key)
		}
	}
	var errs []error
	for i := range found {
		obj := &found[i]
		if err := refusal(obj); err != nil {
			if strict {
				errs = append(errs, err)
			}
			continue
		}
		below, err := r.below(ctx, obj)
		if err != nil {
			errs = append(errs, err)
		}
		for _, key := range append(below, kube.KeyOf(obj)) {
			add(key)
		}
	}
	if r.force || r.reset {
		errs = append(errs, r.forcible(ranks[2]))
	}
	return ranks, errors.Join(errs...)
}

// forcible refuses --force and --reset where there is no HelmRelease.
func (r *requester) forcible(keys []kube.Key) error {
	if slices.ContainsFunc(keys, func(k kube.Key) bool { return k.GroupKind.Kind == helmv2.HelmReleaseKind }) {
		return nil
	}
	return usage(errors.New("--force and --reset are for HelmReleases, and there is none among these"))
}

// refusal is why there is no use in asking for an object; the error says the way out.
func refusal(obj *unstructured.Unstructured) error {
	key := kube.KeyOf(obj)
	suspended, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend")
	switch {
	case obj.GetDeletionTimestamp() != nil:
		return fmt.Errorf("%s is being deleted; %s", key, whyHint(key))
	case suspended && ownerOf(obj) != "":
		return fmt.Errorf("%s is suspended: plumb resume fluxconfig/%s -n %s first", key, ownerOf(obj), key.Namespace)
	case suspended:
		return fmt.Errorf("%s is suspended: plumb resume %s -n %s first", key, typed(obj), key.Namespace)
	case key.GroupKind.Kind == sourcev1.ExternalArtifactKind:
		return fmt.Errorf("%s is written by another controller, which plumb can't ask: reconcile what uses it", key)
	default:
		return nil
	}
}

// below is what has to be asked for before an object: its sources, if they are wanted,
// and what a FluxConfig stands for.
func (r *requester) below(ctx context.Context, obj *unstructured.Unstructured) ([]kube.Key, error) {
	parts, err := explain.Parts(ctx, r, obj)
	if err != nil {
		return nil, err
	}
	if !r.withSource {
		return slices.DeleteFunc(parts, func(k kube.Key) bool { return rank(k) == 0 }), nil
	}
	origins, err := explain.Origins(ctx, r, obj)
	if err != nil {
		return nil, err
	}
	var out []kube.Key
	for _, key := range append(origins, parts...) {
		obj, err := r.Get(ctx, key)
		switch {
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("%s: there is no such source: create it, or leave --with-source out", key)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", key, err)
		case obj.GetKind() == sourcev1.ExternalArtifactKind:
			continue // nobody can be asked for it
		}
		if err := refusal(obj); err != nil {
			return nil, fmt.Errorf("%w, or leave --with-source out", err)
		}
		out = append(out, key)
	}
	return out, nil
}

// run asks for one rank after the other, the next only when all of the one before are
// ready: it would work with what is not there yet.
func (r *requester) run(ctx, limited context.Context, ranks [4][]kube.Key) ([]ending, error) {
	var results []ending
	for _, keys := range ranks {
		for _, key := range keys {
			if err := ask(limited, r.Cluster, key, r.annotations(key)); err != nil {
				return results, ended(ctx, limited, err)
			}
			r.show.line("%s  requested", key)
		}
		if r.noWait {
			continue
		}
		of := r.wait.all(limited, keys)
		results = append(results, of...)
		if err := settled(ctx, limited, of); err != nil {
			return results, err
		}
	}
	return results, nil
}

// annotations are what asks for an object.
func (r *requester) annotations(key kube.Key) map[string]string {
	out := map[string]string{meta.ReconcileRequestAnnotation: r.wait.token}
	if key.GroupKind.Kind == helmv2.HelmReleaseKind && r.force {
		out[helmv2.ForceRequestAnnotation] = r.wait.token
	}
	if key.GroupKind.Kind == helmv2.HelmReleaseKind && r.reset {
		out[helmv2.ResetRequestAnnotation] = r.wait.token
	}
	return out
}

// ask annotates one object.
func ask(ctx context.Context, cluster *kube.Cluster, key kube.Key, annotations map[string]string) error {
	resource, err := cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	if _, err := resource.Patch(ctx, key.Name, types.MergePatchType, raw, metav1.PatchOptions{FieldManager: cliManager}); err != nil {
		return fmt.Errorf("%s: ask for reconciliation: %w", key, err)
	}
	return nil
}

// print tells what became of each object.
func (r *requester) print(format string, results []ending) error {
	return printValue(r.out, format, append([]ending{}, results...), func(out io.Writer) error {
		for _, e := range results {
			if e.Ready {
				fmt.Fprintf(out, "%s is ready: %s\n", e.Object, cmp.Or(e.Revision, strings.TrimSpace(e.Message)))
			}
		}
		return nil
	})
}
