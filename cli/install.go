package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/api/crds"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/settings"
)

// The selector of the pods that run Plumb in a cluster.
const enginePods = install.NameLabel + "=" + install.Name

type installFlags struct {
	install.Options
	settingFlags
	crdsOnly bool
	export   bool
	dryRun   bool
	takeOver bool
	wait     bool
	timeout  time.Duration

	changed func(flag string) bool
}

func newInstall(g *global) *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install or upgrade Plumb in the cluster, or print what that takes",
		Long: `Applies the definitions, the rights, the settings and the Deployment of Plumb, and waits
until it is ready. What is installed already is brought to what this version says:
its options and settings stay as they are where no flag says otherwise.

With multiTenancy.enforce, which is on unless --config turns it off, objects act as
service accounts of their own namespace, and Plumb itself may write its own kinds
and nothing else.`,
		Example: `  plumb install --image registry.example.com/plumb:v1

  # settings of Azure's extension, and what that would change
  plumb install --config kustomize-controller.concurrent=20 --dry-run

  # in place of the toolkit's controllers
  plumb install --image registry.example.com/plumb:v1 --takeover

  # everything, as YAML
  plumb install --export --image registry.example.com/plumb:v1 > plumb.yaml

  # only the definitions, for an engine that runs elsewhere
  plumb install --crds-only`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.changed = cmd.Flags().Changed
			return runInstall(cmd.Context(), g, f)
		},
	}
	f.add(cmd)
	return cmd
}

func (f *installFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.addGiven(flags)
	flags.StringVarP(&f.Namespace, "namespace", "n", install.DefaultNamespace, "namespace to run in")
	flags.StringVar(&f.Image, "image", "", "container image with the plumb binary (default: the one that is installed)")
	flags.StringVar(&f.PullSecret, "image-pull-secret", "", "Secret with credentials for the image's registry, in the namespace")
	flags.StringVar(&f.LeaseNamespace, "lease-namespace", install.LeaseNamespace, "namespace of the lease that makes sure of one engine per cluster")
	flags.Int32Var(&f.Replicas, "replicas", 0, "how many pods; without --shards all but one stand by (default: one for each shard, or one)")
	flags.Int32Var(&f.Shards, "shards", 0, "divide the work into so many shards, which all pods share (default: one pod does all)")
	flags.StringVar(&f.StorageSize, "storage-size", "", "keep what was fetched in a volume of this size (default: as long as the pod)")
	flags.StringVar(&f.StorageClass, "storage-class", "", "storage class of that volume (default: the cluster's)")
	flags.BoolVar(&f.OpenShift, "openshift", false, "run as a user that OpenShift gives to the namespace")
	flags.BoolVar(&f.crdsOnly, "crds-only", false, "install the CustomResourceDefinitions and nothing else")
	flags.BoolVar(&f.export, "export", false, "print YAML and change nothing")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print what would change on the cluster and change nothing")
	flags.BoolVar(&f.takeOver, "takeover", false, "scale the toolkit's controllers to zero where they run, and go on in their place")
	flags.BoolVar(&f.wait, "wait", true, "wait until Plumb is ready")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this long")
}

func runInstall(ctx context.Context, g *global, f installFlags) error {
	values, err := f.given()
	if err != nil {
		return err
	}
	if f.export {
		objs, err := f.wanted(g.err, f.Options, values)
		if err != nil {
			return err
		}
		return printYAML(g.out, objs)
	}
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	if err := f.onCluster(limited, g, cluster, values); err != nil {
		return ended(ctx, limited, err)
	}
	return nil
}

// onCluster installs, or says what that would change.
func (f *installFlags) onCluster(ctx context.Context, g *global, cluster *kube.Cluster, values settings.Values) error {
	options := f.Options
	if !f.crdsOnly {
		var err error
		if options, values, err = f.installed(ctx, cluster, values); err != nil {
			return err
		}
	}
	objs, err := f.wanted(g.err, options, values)
	if err != nil {
		return err
	}
	i := installation{cluster: cluster, options: options, out: g.out, progress: g.err}
	var rivals []controller
	if !f.crdsOnly {
		if rivals, err = rivalsOf(ctx, cluster); err != nil {
			return err
		}
		if len(rivals) > 0 && !f.takeOver {
			return besideError(rivals)
		}
	}
	if f.dryRun {
		return i.compare(ctx, objs, rivals)
	}
	if f.takeOver && !f.crdsOnly {
		if err := i.takeOver(ctx, rivals); err != nil {
			return err
		}
	}
	if err := i.apply(ctx, objs); err != nil {
		return err
	}
	if f.crdsOnly {
		return nil
	}
	if err := i.dropStale(ctx, objs); err != nil {
		return err
	}
	if f.wait {
		return i.ready(ctx)
	}
	return nil
}

// wanted are the objects to install, the definitions first.
func (f *installFlags) wanted(notes io.Writer, o install.Options, values settings.Values) ([]*unstructured.Unstructured, error) {
	objs, err := crds.All()
	if err != nil || f.crdsOnly {
		return objs, err
	}
	if o.Image == "" {
		return nil, usage(fmt.Errorf("give --image, the container image with the plumb binary, or --crds-only"))
	}
	o.Settings = values
	_, _, said, err := o.Checked()
	if err != nil {
		return nil, usage(err)
	}
	for _, note := range said {
		fmt.Fprintf(notes, "a setting has no effect: %s\n", note)
	}
	parts, err := install.Objects(o)
	return append(objs, parts...), err
}

// installed puts what the flags say over what is installed already.
func (f *installFlags) installed(ctx context.Context, cluster *kube.Cluster, given settings.Values) (install.Options, settings.Values, error) {
	o, err := remembered(ctx, cluster, f.Namespace)
	if err != nil {
		return o, nil, err
	}
	o.Namespace = f.Namespace
	for flag, take := range map[string]func(){
		"image":             func() { o.Image = f.Image },
		"image-pull-secret": func() { o.PullSecret = f.PullSecret },
		"lease-namespace":   func() { o.LeaseNamespace = f.LeaseNamespace },
		"replicas":          func() { o.Replicas = f.Replicas },
		"shards":            func() { o.Shards, o.Replicas = f.Shards, f.replicasOf(o) },
		"storage-size":      func() { o.StorageSize = f.StorageSize },
		"storage-class":     func() { o.StorageClass = f.StorageClass },
		"openshift":         func() { o.OpenShift = f.OpenShift },
	} {
		if f.changed(flag) {
			take()
		}
	}
	values, err := configured(ctx, cluster, f.Namespace)
	if err != nil {
		return o, nil, err
	}
	for key, value := range given {
		values[key] = value // an empty one takes a setting back to its default
	}
	return o, values, nil
}

// replicasOf is how many pods there are with the given shards: another number of shards
// does not keep the number of pods that nobody asked for with it.
func (f *installFlags) replicasOf(before install.Options) int32 {
	if f.changed("replicas") || f.Shards != before.Shards {
		return f.Replicas
	}
	return before.Replicas
}

// remembered are the options of what is installed, none when nothing is.
func remembered(ctx context.Context, cluster *kube.Cluster, namespace string) (install.Options, error) {
	found, err := cluster.Get(ctx, deploymentKey(namespace, install.Name))
	if apierrors.IsNotFound(err) {
		return install.Options{}, nil
	}
	if err != nil {
		return install.Options{}, fmt.Errorf("look for what is installed: %w", err)
	}
	return install.Remembered(found)
}

// configured are the settings in the ConfigMap of an installation.
func configured(ctx context.Context, cluster *kube.Cluster, namespace string) (settings.Values, error) {
	key := configMapKey(namespace, install.ConfigMap)
	found, err := cluster.Get(ctx, key)
	if apierrors.IsNotFound(err) {
		return settings.Values{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	out := settings.Values{}
	for name, value := range valuesIn(found) {
		out[name] = value
	}
	return out, nil
}

func deploymentKey(namespace, name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: deploymentKind.GroupKind()}, Version: deploymentKind.Version}
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

// isAbsent tells whether an error says that there is no such object or kind.
func isAbsent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
