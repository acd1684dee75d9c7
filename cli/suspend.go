package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type suspensionFlags struct {
	selection
	suspend bool
	noWait  bool
	timeout time.Duration
}

func newSuspend(g *global) *cobra.Command {
	f := suspensionFlags{suspend: true}
	return suspension(g, &f, &cobra.Command{
		Use:   "suspend KIND/NAME... | KIND NAME...",
		Short: "Have objects left alone until they are resumed",
		Long: `Sets spec.suspend. Work under way ends by itself; what was applied stays as it is.
A FluxConfig takes its source and its Kustomizations along.`,
		Example: `  plumb suspend kustomization/apps -n flux-system
  plumb suspend hr podinfo redis -n apps
  plumb suspend kustomizations -A -l team=web
  plumb suspend all --all -n staging`,
	})
}

func newResume(g *global) *cobra.Command {
	var f suspensionFlags
	cmd := suspension(g, &f, &cobra.Command{
		Use:   "resume KIND/NAME... | KIND NAME...",
		Short: "Have suspended objects worked on again, and wait until they are ready",
		Long: `Takes spec.suspend back. The engine looks at the objects at once; the command waits until
each is ready, or has failed.`,
		Example: `  plumb resume kustomization/apps -n flux-system
  plumb resume ks,hr --all -n staging --timeout 10m
  plumb resume kustomizations -A -l team=web --no-wait`,
	})
	waitFlags(cmd, &f.noWait, &f.timeout)
	return cmd
}

// waitFlags are those of commands that wait for an engine.
func waitFlags(cmd *cobra.Command, noWait *bool, timeout *time.Duration) {
	cmd.Flags().BoolVar(noWait, "no-wait", false, "do not wait for what comes of it")
	cmd.Flags().DurationVar(timeout, "timeout", 5*time.Minute, "give up waiting after this long")
}

func suspension(g *global, f *suspensionFlags, cmd *cobra.Command) *cobra.Command {
	cmd.Args = kindArgs
	cmd.ValidArgsFunction = g.completeObjects("all", "sources")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return setSuspend(cmd.Context(), g, *f, args) }
	f.selection.add(g, cmd)
	f.selection.addAll(cmd)
	return cmd
}

// setSuspend says of objects whether they are suspended. It is written only where
// they say otherwise, so that doing it again changes nothing.
func setSuspend(ctx context.Context, g *global, f suspensionFlags, args []string) error {
	s, err := f.read(ctx, g, args, true, "nothing else can be suspended")
	if err != nil {
		return err
	}
	errs := s.missing
	var changed []kube.Key
	for i := range s.found {
		obj := &s.found[i]
		switch err := f.refusal(obj, s.several()); {
		case errors.Is(err, errPassedOver):
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", kube.KeyOf(obj), err))
		default:
			wrote, err := f.write(ctx, g, s.lookup, obj)
			if err != nil {
				errs = append(errs, err)
			}
			if wrote {
				changed = append(changed, kube.KeyOf(obj))
			}
		}
	}
	if len(errs) > 0 || f.suspend || f.noWait {
		return errors.Join(errs...)
	}
	return awaitReady(ctx, g, s.lookup, f.timeout, changed)
}

// errPassedOver is for objects that a word for many kinds names by the way.
var errPassedOver = errors.New("passed over")

// refusal is why an object can't be suspended or resumed by itself, nil when it can.
// many says that no kind in particular was asked for.
func (f suspensionFlags) refusal(obj *unstructured.Unstructured, many bool) error {
	if obj.GetKind() == sourcev1.ExternalArtifactKind {
		if many {
			return errPassedOver
		}
		return errors.New("it can't be suspended: another controller writes it; suspend what uses it")
	}
	if owner := ownerOf(obj); owner != "" {
		if many {
			return errPassedOver
		}
		return fmt.Errorf("FluxConfig/%s/%s would undo that at once, since it was made from that: suspend or resume fluxconfig/%s", obj.GetNamespace(), owner, owner)
	}
	return nil
}

// ownerOf is the FluxConfig that an object was made from, "" for none.
func ownerOf(obj *unstructured.Unstructured) string {
	has := obj.GetLabels()
	if has[clusterconfigv1.ManagedLabel] != "true" || has[clusterconfigv1.NamespaceLabel] != obj.GetNamespace() {
		return ""
	}
	return has[clusterconfigv1.NameLabel]
}

// write changes one object, if it is to be changed.
func (f suspensionFlags) write(ctx context.Context, g *global, l *lookup, obj *unstructured.Unstructured) (wrote bool, err error) {
	key := kube.KeyOf(obj)
	said := map[bool]string{true: "suspended", false: "resumed"}[f.suspend]
	if now, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend"); now == f.suspend {
		fmt.Fprintf(g.out, "%s is %s already\n", key, said)
		return false, nil
	}
	resource, err := l.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return false, err
	}
	patch := fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, f.suspend)
	if _, err := resource.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cliManager, FieldValidation: metav1.FieldValidationStrict}); err != nil {
		return false, fmt.Errorf("%s: %w", key, err)
	}
	fmt.Fprintf(g.out, "%s %s\n", key, said)
	return true, nil
}

// awaitReady waits until objects are ready, and says so of each.
func awaitReady(ctx context.Context, g *global, l *lookup, timeout time.Duration, keys []kube.Key) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	w := waiting{cluster: l.Cluster, show: newProgress(g.err)}
	results := w.all(limited, keys)
	for _, r := range results {
		if r.Ready {
			fmt.Fprintf(g.out, "%s is ready\n", r.Object)
		}
	}
	return settled(ctx, limited, results)
}
