package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumb-gitops/plumb/api/crds"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type checkFlags struct {
	namespace string
	installed bool
	output    string
	timeout   time.Duration
}

func newCheck(g *global) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with a cluster, before and after plumb install",
		Long: `Asks the cluster and changes nothing. Before an installation: the version, other
controllers, whether you may install and admission lets you, webhooks that stand in the
way. Where Plumb is installed: definitions, rights, settings, the Deployment and its
pods, and who has the lease.`,
		Example: `  plumb check
  plumb check --installed -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCheck(cmd.Context(), g, f) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.namespace, "namespace", "n", install.DefaultNamespace, "namespace that Plumb runs in, or will")
	flags.BoolVar(&f.installed, "installed", false, "it is a problem when Plumb is not installed")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "give up after this long")
	outputFlag(cmd, &f.output, checkForms...)
	return cmd
}

// checkForms are the forms of findings.
var checkForms = []string{"table", "json", "yaml"}

func runCheck(ctx context.Context, g *global, f checkFlags) error {
	if err := checkOutput(f.output, checkForms); err != nil {
		return err
	}
	cluster, err := g.connect()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	c := &checker{cluster: cluster, namespace: f.namespace}
	if err := c.run(limited, f.installed); err != nil {
		return ended(ctx, limited, err)
	}
	if err := printValue(g.out, f.output, c.found, c.table); err != nil {
		return err
	}
	if install.Worst(c.found) == install.Problem {
		return &exitError{code: exitFailed}
	}
	return nil
}

// checker gathers what package install judges.
type checker struct {
	cluster   *kube.Cluster
	namespace string
	found     []install.Finding
}

func (c *checker) add(check string, state install.State, format string, args ...any) {
	c.found = append(c.found, install.Finding{Check: check, State: state, Message: fmt.Sprintf(format, args...)})
}

// summed adds findings: those that are not right, or, when all are, one that says so.
func (c *checker) summed(all []install.Finding, check, right string) {
	before := len(c.found)
	for _, f := range all {
		if f.State != install.Right {
			c.found = append(c.found, f)
		}
	}
	if len(c.found) == before {
		c.add(check, install.Right, "%s", right)
	}
}

func (c *checker) table(out io.Writer) error {
	rows := make([][]string, len(c.found))
	for i, f := range c.found {
		rows[i] = []string{f.Check, string(f.State), f.Message}
	}
	return printTable(out, []string{"CHECK", "STATE", "MESSAGE"}, rows)
}

func (c *checker) run(ctx context.Context, mustBe bool) error {
	served, err := c.cluster.Served()
	if err != nil {
		return err
	}
	c.found = append(c.found, install.OnVersion(served.Version.GitVersion))
	deployed, err := c.cluster.Get(ctx, deploymentKey(c.namespace, install.Name))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("look for Plumb: %w", err)
	}
	steps := []func(context.Context, *unstructured.Unstructured) error{c.controllers, c.webhooks, c.definitions}
	if deployed == nil {
		steps = append(steps, c.may)
	} else {
		steps = append(steps, c.parts, c.deployment, c.lease)
	}
	for _, step := range steps {
		if err := step(ctx, deployed); err != nil {
			return err
		}
	}
	if deployed == nil && mustBe {
		c.add("installation", install.Problem, "there is no Plumb in namespace %s: run plumb install", c.namespace)
	}
	return nil
}

// controllers looks for others who do the same work.
func (c *checker) controllers(ctx context.Context, _ *unstructured.Unstructured) error {
	rivals, err := rivalsOf(ctx, c.cluster)
	if err != nil {
		return err
	}
	if len(rivals) > 0 {
		c.add("controllers", install.Problem, "%s", besideError(rivals))
		return nil
	}
	c.add("controllers", install.Right, "no others work on this cluster")
	return nil
}

var (
	webhookKinds = []schema.GroupVersionKind{
		{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration"},
		{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration"},
	}
	sliceKind = schema.GroupVersionKind{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"}
)

// webhooks looks at those that admission asks.
func (c *checker) webhooks(ctx context.Context, _ *unstructured.Unstructured) error {
	var all []install.Finding
	for _, gvk := range webhookKinds {
		found, err := listKind(ctx, c.cluster, gvk)
		if err != nil {
			return err
		}
		for i := range found {
			found[i].SetGroupVersionKind(gvk)
			all = append(all, install.OnWebhooks(&found[i], func(namespace, name string) bool { return c.answered(ctx, namespace, name) })...)
		}
	}
	c.summed(all, "webhooks", "none stands in the way")
	return nil
}

// answered tells whether a Service has an endpoint that is ready. Where that cannot
// be read it is taken for granted.
func (c *checker) answered(ctx context.Context, namespace, name string) bool {
	resource, err := c.cluster.Resource(sliceKind, namespace)
	if err != nil {
		return true
	}
	slices, err := resource.List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + name})
	if err != nil {
		return true
	}
	for _, s := range slices.Items {
		endpoints, _, _ := unstructured.NestedSlice(s.Object, "endpoints") // its form is the API server's
		for _, e := range endpoints {
			of, _ := e.(map[string]any)
			if ready, found, _ := unstructured.NestedBool(of, "conditions", "ready"); ready || !found {
				return true
			}
		}
	}
	return false
}

// may tries by dry runs whether the caller may install, and whether admission lets
// the objects in. What needs the namespace is tried only where that is there.
func (c *checker) may(ctx context.Context, _ *unstructured.Unstructured) error {
	objs, err := crds.All()
	if err != nil {
		return err
	}
	parts, err := install.Objects(install.Options{Namespace: c.namespace, Image: "plumb"})
	if err != nil {
		return err
	}
	refused := false
	for _, obj := range append(objs, parts...) {
		_, err := c.cluster.Apply(ctx, obj, kube.ApplyOptions{Manager: cliManager, DryRun: true})
		switch {
		case err == nil || isAbsent(err):
			continue
		case ctx.Err() != nil:
			return err
		case apierrors.IsForbidden(err):
			c.add("rights", install.Problem, "%s: %s: install as somebody who has the rights of cluster-admin", kube.KeyOf(obj), plain(err))
		default:
			c.add("admission", install.Problem, "%s: %s", kube.KeyOf(obj), plain(err))
		}
		refused = true
	}
	if !refused {
		c.add("rights", install.Right, "you may install, and admission lets you")
	}
	return nil
}

// definitions looks at what there is of ours. Before an installation only that
// matters which this would not put right.
func (c *checker) definitions(ctx context.Context, deployed *unstructured.Unstructured) error {
	objs, err := crds.All()
	if err != nil {
		return err
	}
	var all []install.Finding
	for _, obj := range objs {
		have, err := c.get(ctx, kube.KeyOf(obj))
		if err != nil {
			return err
		}
		if f := install.OnDefinition(obj, have); deployed != nil || have != nil && f.State == install.Problem {
			all = append(all, f)
		}
	}
	right := "as this version of plumb has them"
	if deployed == nil {
		right = "nothing that plumb install does not put right"
	}
	c.summed(all, "definitions", right)
	return nil
}

// get reads an object, nil when there is none.
func (c *checker) get(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	obj, err := c.cluster.Get(ctx, key)
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return obj, nil
}

// parts compares what is installed with what the same options and settings make now.
func (c *checker) parts(ctx context.Context, deployed *unstructured.Unstructured) error {
	o, err := install.Remembered(deployed)
	if err != nil {
		return err
	}
	if o.Image == "" {
		c.add("installation", install.Warning, "it was not made by plumb install: what belongs to it is not known")
		return nil
	}
	if o.Settings, err = configured(ctx, c.cluster, c.namespace); err != nil {
		return err
	}
	c.found = append(c.found, install.OnSettings(o)...)
	wanted, err := install.Objects(o)
	if err != nil {
		return nil //nolint:nilerr // the finding about settings says it
	}
	var rights, others []install.Finding
	for _, obj := range wanted {
		have, err := c.get(ctx, kube.KeyOf(obj))
		if err != nil {
			return err
		}
		if f := install.OnPart(obj, have); f.Check == install.RightsCheck {
			rights = append(rights, f)
		} else {
			others = append(others, f)
		}
	}
	c.summed(rights, install.RightsCheck, "all that it needs")
	c.summed(others, "installation", "as this version of plumb makes it")
	return nil
}

func (c *checker) deployment(ctx context.Context, deployed *unstructured.Unstructured) error {
	key := kube.KeyOf(deployed)
	if v := health.Of(deployed); v.Status != health.Current {
		c.add("deployment", install.Problem, "%s: %s", key, v.Message)
	} else {
		c.add("deployment", install.Right, "%s is ready", key)
	}
	for _, line := range podTroubles(ctx, c.cluster, c.namespace) {
		c.add("deployment", install.Problem, "%s", line)
	}
	return nil
}

// lease looks who works on the cluster.
func (c *checker) lease(ctx context.Context, deployed *unstructured.Unstructured) error {
	o, err := install.Remembered(deployed)
	if err != nil {
		return err
	}
	o.LeaseNamespace = cmp.Or(o.LeaseNamespace, install.LeaseNamespace)
	holder, err := leaseHolder(ctx, c.cluster, engine.Election{Namespace: o.LeaseNamespace, Name: install.Lease})
	switch {
	case err != nil:
		return err
	case holder == "":
		c.add(install.EngineCheck, install.Problem, "nobody has the lease %s/%s: no engine works on this cluster; see the log of Deployment/%s/%s", o.LeaseNamespace, install.Lease, c.namespace, install.Name)
	case o.Shards == 0:
		c.add(install.EngineCheck, install.Right, "%s works on this cluster", holder)
	case holder != sharedBy(o):
		c.add(install.EngineCheck, install.Problem, "%s has the lease %s/%s, so the %d shards of Deployment/%s/%s are not worked on: stop that engine; where this was just installed, the old pods are still ending",
			holder, o.LeaseNamespace, install.Lease, o.Shards, c.namespace, install.Name)
	default:
		members, holders, err := sharing(ctx, c.cluster, o)
		if err != nil {
			return err
		}
		c.found = append(c.found, install.OnShards(o, members, holders))
	}
	return nil
}
