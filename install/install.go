// Package install makes the objects that run Plumb in a cluster, out of settings
// and options. It is what `plumb install` applies, `plumb install --export` prints,
// `deploy/` holds and `plumb check` compares a cluster with. The package decides
// and touches nothing.
package install

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/plumb-gitops/plumb/settings"
)

// Names of what is installed.
const (
	Name             = "plumb"       // of everything that has a namespace
	DefaultNamespace = "flux-system" // where the toolkit and Azure's extension run, too
	ConfigMap        = "plumb-config"
	LeaseNamespace   = "kube-system" // one place, wherever an engine runs
	Lease            = "plumb-engine"
)

// tenancy is the setting that an installation turns on.
const tenancy = "multiTenancy.enforce"

// The ports of the engine.
const (
	MetricsPort  = 8080
	HealthPort   = 9440
	ArtifactPort = 9090
)

// Labels of everything that is installed. The first selects the pods.
const (
	NameLabel      = "app.kubernetes.io/name"
	InstanceLabel  = "app.kubernetes.io/instance" // the namespace of the installation
	ComponentLabel = "app.kubernetes.io/component"
)

// Options say what to install.
type Options struct {
	Namespace      string // DefaultNamespace when empty
	Image          string // with the plumb binary as its entry point
	PullSecret     string // of the image, in the namespace; "" for none
	LeaseNamespace string // LeaseNamespace when empty
	// Replicas is how many pods there are: when 0, one for each shard, or one. Without
	// shards all but one stand by.
	Replicas int32
	// Shards is into how many parts the pods divide the work; 0 has one of them do all.
	Shards int32
	// Settings are the content of the ConfigMap. multiTenancy.enforce is true where
	// they don't say otherwise.
	Settings settings.Values
	// StorageSize asks for a volume of that size for what was fetched; "" keeps it
	// as long as the pod.
	StorageSize  string
	StorageClass string // of that volume; "" for the cluster's default
	OpenShift    bool
}

// Checked are the options with their defaults, and the settings that they hold.
// notes say which settings have no effect, and why.
func (o Options) Checked() (out Options, s settings.Settings, notes []string, err error) {
	o.Namespace = cmp.Or(o.Namespace, DefaultNamespace)
	o.LeaseNamespace = cmp.Or(o.LeaseNamespace, LeaseNamespace)
	o.Replicas = cmp.Or(o.Replicas, o.Shards, 1)
	values := settings.Values{}
	maps.Copy(values, o.Settings)
	values[tenancy] = cmp.Or(values[tenancy], "true")
	o.Settings = values
	s, notes, err = settings.Parse(values)
	return o, s, notes, errors.Join(err, o.right(), resourcesAgree(s.Deployment))
}

func (o Options) right() error {
	var errs []error
	for _, name := range []string{o.Namespace, o.LeaseNamespace} {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("namespace %q: %s", name, problems[0]))
		}
	}
	if o.Image == "" || strings.ContainsAny(o.Image, " \t\n") {
		errs = append(errs, fmt.Errorf("image %q: want the reference of a container image with the plumb binary", o.Image))
	}
	if o.Replicas < 1 {
		errs = append(errs, fmt.Errorf("replicas %d: want 1 or more", o.Replicas))
	}
	if o.Shards < 0 {
		errs = append(errs, fmt.Errorf("shards %d: want 1 or more, or 0 to have one pod do all", o.Shards))
	}
	if o.Shards > 0 && o.Replicas > o.Shards {
		errs = append(errs, fmt.Errorf("replicas %d: with %d shards the others would have nothing to do; give as many shards, or fewer replicas", o.Replicas, o.Shards))
	}
	return errors.Join(append(errs, o.storageRight()...)...)
}

func (o Options) storageRight() (errs []error) {
	if o.StorageSize != "" {
		if q, err := resource.ParseQuantity(o.StorageSize); err != nil || q.Sign() <= 0 {
			errs = append(errs, fmt.Errorf("storage size %q: want an amount such as 5Gi", o.StorageSize))
		}
		if o.Replicas > 1 {
			errs = append(errs, errors.New("a volume can be mounted by one replica: leave out the storage size, or the replicas"))
		}
	}
	if o.StorageClass != "" && o.StorageSize == "" {
		errs = append(errs, errors.New("a storage class is for a volume: give its size as well"))
	}
	return errs
}

// Objects are those of an installation, in the order of their kinds. The
// definitions are not among them: package crds has those.
func Objects(o Options) ([]*unstructured.Unstructured, error) {
	o, s, _, err := o.Checked()
	if err != nil {
		return nil, err
	}
	options, err := o.remember()
	if err != nil {
		return nil, err
	}
	engine := deployment(o, s)
	engine.Annotations = map[string]string{OptionsAnnotation: options}
	typed := []runtime.Object{namespace(o, s), priorityClass(o), account(o, s)}
	typed = append(typed, rights(o, s)...)
	typed = append(typed, configMap(o))
	if o.Shards == 0 { // none of several engines has the archives of all sources
		typed = append(typed, service(o))
	}
	typed = append(typed, networkPolicy(o))
	if o.StorageSize != "" {
		typed = append(typed, claim(o))
	}
	typed = append(typed, disruptionBudget(o), engine)
	out := make([]*unstructured.Unstructured, len(typed))
	for i, obj := range typed {
		if out[i], err = plain(obj); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plain is a typed object as it is applied: without what the server writes.
func plain(obj runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", obj, err)
	}
	delete(content, "status")
	for _, path := range [][]string{{"metadata", "creationTimestamp"}, {"spec", "template", "metadata", "creationTimestamp"}} {
		unstructured.RemoveNestedField(content, path...)
	}
	return &unstructured.Unstructured{Object: content}, nil
}

// Labels are those of everything that belongs to the installation in a namespace.
func Labels(namespace string) map[string]string {
	return map[string]string{NameLabel: Name, InstanceLabel: namespace}
}

// Kinds are those that an installation may have had objects of, in any version of
// Plumb: who looks for what is left looks there.
func Kinds() []schema.GroupVersionKind {
	kind := func(group, version string, names ...string) (out []schema.GroupVersionKind) {
		for _, name := range names {
			out = append(out, schema.GroupVersionKind{Group: group, Version: version, Kind: name})
		}
		return out
	}
	return slices.Concat(
		kind("apps", "v1", "Deployment"),
		kind("policy", "v1", "PodDisruptionBudget"),
		kind("networking.k8s.io", "v1", "NetworkPolicy"),
		kind("", "v1", "Service", "ConfigMap", "PersistentVolumeClaim"),
		kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "Role", "ClusterRoleBinding", "ClusterRole"),
		kind("", "v1", "ServiceAccount"),
		kind("scheduling.k8s.io", "v1", "PriorityClass"),
		kind("", "v1", "Namespace"),
	)
}

// clusterName names an object that has no namespace.
func (o Options) clusterName(what string) string { return Name + "-" + what + "-" + o.Namespace }
