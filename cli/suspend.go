package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

func newSuspend(g *global) *cobra.Command {
	return suspension(g, true, &cobra.Command{
		Use:     "suspend KIND/NAME",
		Short:   "Have an object left alone until it is resumed",
		Long:    `Sets spec.suspend. Work under way ends by itself; what was applied stays as it is.`,
		Example: "  plumb suspend kustomization/apps -n flux-system",
	})
}

func newResume(g *global) *cobra.Command {
	return suspension(g, false, &cobra.Command{
		Use:     "resume KIND/NAME",
		Short:   "Have a suspended object worked on again",
		Long:    `Takes spec.suspend back. The engine looks at the object at once.`,
		Example: "  plumb resume kustomization/apps -n flux-system",
	})
}

func suspension(g *global, suspend bool, cmd *cobra.Command) *cobra.Command {
	var namespace string
	cmd.Args = objectArgs
	cmd.ValidArgsFunction = g.completeObjects
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return setSuspend(cmd.Context(), g, namespace, args, suspend)
	}
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the object (default: that of the kubeconfig's context)")
	return cmd
}

// setSuspend says of an object whether it is suspended. It is written only where
// it says otherwise, so that doing it again changes nothing.
func setSuspend(ctx context.Context, g *global, namespace string, args []string, suspend bool) error {
	l, err := g.lookup(namespace)
	if err != nil {
		return err
	}
	key, err := l.key(args)
	if err != nil {
		return err
	}
	obj, err := l.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	said := map[bool]string{true: "suspended", false: "resumed"}[suspend]
	if now, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend"); now == suspend {
		fmt.Fprintf(g.out, "%s is %s already\n", key, said)
		return nil
	}
	resource, err := l.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"spec":{"suspend":%t}}`, suspend)
	if _, err := resource.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cliManager, FieldValidation: metav1.FieldValidationStrict}); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	fmt.Fprintf(g.out, "%s %s\n", key, said)
	return nil
}
