package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/plumb-gitops/plumb/api/meta"
)

type getFlags struct {
	namespace, selector, output string
	all, watch                  bool
}

func newGet(g *global) *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get KIND [NAME...]",
		Short: "List objects and how they are",
		Long:  `Lists sources, Kustomizations and HelmReleases with their revision, and whether they are ready.`,
		Example: `  plumb get kustomizations -A
  plumb get gitrepositories -n flux-system -l team=web
  plumb get ks apps -o yaml
  plumb get kustomizations -A --watch`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(fmt.Errorf("%s: want a kind, such as kustomizations", cmd.CommandPath()))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return getObjects(cmd.Context(), g, f, args[0], args[1:])
		},
		ValidArgsFunction: g.completeKinds,
	}
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "", "namespace to look in (default: that of the kubeconfig's context)")
	cmd.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "look in all namespaces")
	cmd.Flags().StringVarP(&f.selector, "selector", "l", "", "label selector, such as team=web")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "go on and print each change, until Ctrl-C")
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, json, yaml or name")
	return cmd
}

func getObjects(ctx context.Context, g *global, f getFlags, kind string, names []string) error {
	l, err := g.lookup(f.namespace)
	if err != nil {
		return err
	}
	gvk, err := l.kind(kind)
	if err != nil {
		return err
	}
	namespace := l.namespace
	if f.all {
		namespace = ""
	}
	resource, err := l.Resource(gvk, namespace)
	if err != nil {
		return err
	}
	list, err := resource.List(ctx, metav1.ListOptions{LabelSelector: f.selector})
	if err != nil {
		return fmt.Errorf("list %s: %w", gvk.Kind, err)
	}
	wanted := func(obj *unstructured.Unstructured) bool {
		return len(names) == 0 || slices.Contains(names, obj.GetName())
	}
	list.Items = slices.DeleteFunc(list.Items, func(obj unstructured.Unstructured) bool { return !wanted(&obj) })
	if missing := absent(names, list.Items); len(missing) > 0 {
		return fmt.Errorf("%s not found: %s", gvk.Kind, strings.Join(missing, ", "))
	}
	if err := printList(g.out, f, gvk, list, true); err != nil || !f.watch {
		return err
	}
	lw := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		o.LabelSelector = f.selector
		return resource.Watch(ctx, o)
	}}
	_, err = watchtools.Until(ctx, list.GetResourceVersion(), lw, func(e watch.Event) (bool, error) {
		obj, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Bookmark || !wanted(obj) {
			return false, nil
		}
		return false, printList(g.out, f, gvk, &unstructured.UnstructuredList{Items: []unstructured.Unstructured{*obj}}, false)
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is how a watch ends
	}
	return err
}

// absent are the names that are asked for and not there.
func absent(names []string, items []unstructured.Unstructured) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(items, func(obj unstructured.Unstructured) bool { return obj.GetName() == name })
	})
}

func printList(out io.Writer, f getFlags, gvk schema.GroupVersionKind, list *unstructured.UnstructuredList, header bool) error {
	if f.output == "name" {
		for _, obj := range list.Items {
			fmt.Fprintf(out, "%s/%s\n", strings.ToLower(gvk.Kind), obj.GetName())
		}
		return nil
	}
	return printValue(out, f.output, list.Items, func(out io.Writer) error {
		columns := []string{"NAMESPACE", "NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"}
		rows := make([][]string, len(list.Items))
		for i := range list.Items {
			rows[i] = row(&list.Items[i])
		}
		if !f.all {
			columns = columns[1:]
			for i := range rows {
				rows[i] = rows[i][1:]
			}
		}
		if !header {
			columns, rows = rows[0], rows[1:]
		}
		return printTable(out, columns, rows)
	})
}

// row is one line about an object of ours.
func row(obj *unstructured.Unstructured) []string {
	status := struct {
		Spec struct {
			Suspend bool `json:"suspend"`
		} `json:"spec"`
		Status struct {
			Conditions          []metav1.Condition `json:"conditions"`
			LastAppliedRevision string             `json:"lastAppliedRevision"`
			Artifact            *meta.Artifact     `json:"artifact"`
			History             []struct {
				ChartVersion string `json:"chartVersion"`
			} `json:"history"` // of a HelmRelease, the newest first
		} `json:"status"`
	}{}
	ready, message := "Unknown", "not looked at yet"
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &status); err != nil {
		message = "its status has an unexpected form"
	} else if c := apimeta.FindStatusCondition(status.Status.Conditions, meta.ReadyCondition); c != nil {
		ready, message = string(c.Status), strings.ReplaceAll(c.Message, "\n", "; ")
	}
	revision := status.Status.LastAppliedRevision
	if a := status.Status.Artifact; a != nil {
		revision = a.Revision
	}
	if h := status.Status.History; len(h) > 0 && h[0].ChartVersion != "" {
		revision = h[0].ChartVersion
	}
	suspended := "False"
	if status.Spec.Suspend {
		suspended = "True"
	}
	return []string{obj.GetNamespace(), obj.GetName(), short(revision), suspended, ready, message}
}

// short is a revision with as much of its digest as people read.
func short(revision string) string {
	i := strings.LastIndex(revision, ":")
	if i < 0 || len(revision)-i-1 <= 12 {
		return revision
	}
	return revision[:i+1+8]
}
