package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/api/crds"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type installFlags struct {
	namespace string
	image     string
	crdsOnly  bool
	export    bool
}

func newInstall(g *global) *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install Plumb in the cluster, or print what that takes",
		Example: `  # only the definitions, for an engine that runs elsewhere
  plumb install --crds-only

  # everything, as YAML
  plumb install --export --image registry.example.com/plumb:v1 > plumb.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return install(cmd.Context(), g, f) },
	}
	cmd.Flags().StringVar(&f.namespace, "namespace", "flux-system", "namespace to run in")
	cmd.Flags().StringVar(&f.image, "image", "", "container image with the plumb binary (needed unless --crds-only)")
	cmd.Flags().BoolVar(&f.crdsOnly, "crds-only", false, "install the CustomResourceDefinitions and nothing else")
	cmd.Flags().BoolVar(&f.export, "export", false, "print YAML and change nothing")
	return cmd
}

func install(ctx context.Context, g *global, f installFlags) error {
	objs, err := crds.All()
	if err != nil {
		return err
	}
	if !f.crdsOnly {
		if f.image == "" {
			return usage(errors.New("give --image, the container image with the plumb binary, or --crds-only"))
		}
		objs = append(objs, deployment(f.namespace, f.image)...)
	}
	if f.export {
		return printYAML(g.out, objs)
	}
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	for _, obj := range objs {
		if _, err := cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager}); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		fmt.Fprintf(g.out, "%s applied\n", kube.KeyOf(obj))
	}
	return established(ctx, cluster, objs)
}

func printYAML(w io.Writer, objs []*unstructured.Unstructured) error {
	for _, obj := range objs {
		raw, err := yaml.Marshal(obj.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", raw); err != nil {
			return err
		}
	}
	return nil
}

var definition = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

// established waits until the definitions among the objects are served.
func established(ctx context.Context, cluster *kube.Cluster, objs []*unstructured.Unstructured) error {
	for _, obj := range objs {
		if obj.GroupVersionKind() != definition {
			continue
		}
		if err := until(ctx, cluster, kube.KeyOf(obj), func(now *unstructured.Unstructured) bool {
			return now != nil && health.Of(now).Status == health.Current
		}); err != nil {
			return err
		}
	}
	return cluster.ResetMapping()
}

// installMissing installs the definitions that the cluster does not have. What
// is there, in whichever version, stays as it is.
func installMissing(ctx context.Context, cluster *kube.Cluster, out io.Writer) error {
	all, err := crds.All()
	if err != nil {
		return err
	}
	var missing []*unstructured.Unstructured
	for _, obj := range all {
		there, err := exists(ctx, cluster, kube.KeyOf(obj))
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, obj)
		}
	}
	for _, obj := range missing {
		if _, err := cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager}); err != nil {
			return fmt.Errorf("%s: %w", kube.KeyOf(obj), err)
		}
		fmt.Fprintf(out, "%s installed\n", kube.KeyOf(obj))
	}
	return established(ctx, cluster, missing)
}

// The label of all that runs Plumb in a cluster, and the selector of its pods.
const (
	nameLabel  = "app.kubernetes.io/name"
	engineName = "plumb"
	enginePods = nameLabel + "=" + engineName
)

// deployment is what runs Plumb in a cluster.
func deployment(namespace, image string) []*unstructured.Unstructured {
	const account = "plumb"
	labels := map[string]any{nameLabel: engineName}
	object := func(apiVersion, kind, name, ns string, rest map[string]any) *unstructured.Unstructured {
		metadata := map[string]any{"name": name, "labels": labels}
		if ns != "" {
			metadata["namespace"] = ns
		}
		rest["apiVersion"], rest["kind"], rest["metadata"] = apiVersion, kind, metadata
		return &unstructured.Unstructured{Object: rest}
	}
	return []*unstructured.Unstructured{
		object("v1", "Namespace", namespace, "", map[string]any{}),
		object("v1", "ServiceAccount", account, namespace, map[string]any{}),
		object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "plumb", "", map[string]any{
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": namespace}},
		}),
		object("apps/v1", "Deployment", "plumb", namespace, map[string]any{"spec": map[string]any{
			"replicas": int64(1),
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": podSpec(account, image)},
		}}),
	}
}

func podSpec(account, image string) map[string]any {
	probe := func(path string) map[string]any {
		return map[string]any{"httpGet": map[string]any{"path": path, "port": "health"}}
	}
	return map[string]any{
		"serviceAccountName": account,
		"securityContext":    map[string]any{"runAsNonRoot": true, "runAsUser": int64(65532), "fsGroup": int64(65532), "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
		"containers": []any{map[string]any{
			"name": "plumb", "image": image,
			"args":            []any{"run", "--storage-path=/data"},
			"env":             []any{map[string]any{"name": "POD_NAMESPACE", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "metadata.namespace"}}}},
			"ports":           []any{map[string]any{"name": "metrics", "containerPort": int64(8080)}, map[string]any{"name": "health", "containerPort": int64(9440)}},
			"livenessProbe":   probe("/healthz"),
			"readinessProbe":  probe("/readyz"),
			"resources":       map[string]any{"requests": map[string]any{"cpu": "50m", "memory": "64Mi"}, "limits": map[string]any{"memory": "512Mi"}},
			"securityContext": map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}}},
			"volumeMounts":    []any{map[string]any{"name": "data", "mountPath": "/data"}, map[string]any{"name": "tmp", "mountPath": "/tmp"}},
		}},
		"volumes": []any{map[string]any{"name": "data", "emptyDir": map[string]any{}}, map[string]any{"name": "tmp", "emptyDir": map[string]any{}}},
	}
}
