package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/plumb-gitops/plumb/api/meta"
)

// listingFlags are the flags that tell how objects are printed.
type listingFlags struct {
	output     string
	noHeaders  bool
	showLabels bool
}

// formats are the forms in which objects are printed.
var formats = []string{"table", "wide", "json", "yaml", "name"}

func (f *listingFlags) add(cmd *cobra.Command) {
	outputFlag(cmd, &f.output, formats...)
	cmd.Flags().BoolVar(&f.noHeaders, "no-headers", false, "print the table without its first line")
	cmd.Flags().BoolVar(&f.showLabels, "show-labels", false, "print the labels as the last column")
}

func (f *listingFlags) check() error {
	return checkOutput(f.output, formats)
}

// listing prints objects as they are found, and then as they change, in the columns
// and widths of kubectl's tables.
type listing struct {
	out    io.Writer
	format string
	kinds  bool // names tell their kind
	single bool // one object was asked for by its name

	mu    sync.Mutex
	table printers.ResourcePrinter
	lines flusher // remembers widths from one change to the next
}

// flusher is a writer that holds back until it is told.
type flusher interface {
	io.Writer
	Flush() error
}

func newListing(out io.Writer, f listingFlags, namespaces, kinds bool) *listing {
	return &listing{
		out: out, format: f.output, kinds: kinds, lines: printers.GetNewTabWriter(out),
		table: printers.NewTablePrinter(printers.PrintOptions{NoHeaders: f.noHeaders, WithNamespace: namespaces, Wide: f.output == "wide", ShowLabels: f.showLabels}),
	}
}

// structured tells whether the form is one for programs.
func (p *listing) structured() bool { return p.format == "json" || p.format == "yaml" }

// print prints objects that were found together.
func (p *listing) print(objs []unstructured.Unstructured) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range objs {
		objs[i].SetManagedFields(nil) // nobody reads them, and they are longer than all the rest
	}
	switch {
	case p.format == "name":
		for i := range objs {
			fmt.Fprintln(p.out, typed(&objs[i]))
		}
		return nil
	case p.structured() && p.single && len(objs) == 1:
		return printValue(p.out, p.format, objs[0].Object, nil)
	case p.structured():
		items := make([]any, len(objs))
		for i := range objs {
			items[i] = objs[i].Object
		}
		return printValue(p.out, p.format, map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, nil)
	default:
		return p.rows(objs, "")
	}
}

// change prints an object that came, changed or went.
func (p *listing) change(obj *unstructured.Unstructured, gone bool) error {
	if p.structured() || p.format == "name" {
		one := &listing{out: p.out, format: p.format, single: true}
		p.mu.Lock()
		defer p.mu.Unlock()
		if gone {
			return nil // as kubectl, without --output-watch-events
		}
		return one.print([]unstructured.Unstructured{*obj.DeepCopy()})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	message := ""
	if gone {
		message = "deleted"
	}
	return p.rows([]unstructured.Unstructured{*obj}, message)
}

func (p *listing) rows(objs []unstructured.Unstructured, message string) error {
	table := &metav1.Table{ColumnDefinitions: columns}
	for i := range objs {
		r := rowOf(&objs[i])
		name := r.name
		if p.kinds {
			name = typed(&objs[i])
		}
		table.Rows = append(table.Rows, metav1.TableRow{
			Cells:  []any{name, r.revision, r.suspended, r.ready, r.from, r.age, cmp.Or(message, r.message)},
			Object: runtime.RawExtension{Object: &objs[i]},
		})
	}
	return errors.Join(p.table.PrintObj(table, p.lines), p.lines.Flush())
}

// typed is an object's name with its kind, as commands take it.
func typed(obj *unstructured.Unstructured) string {
	return strings.ToLower(obj.GetKind()) + "/" + obj.GetName()
}

// columns of the table; those with a priority are for -o wide alone.
var columns = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name"},
	{Name: "Revision", Type: "string"},
	{Name: "Suspended", Type: "string"},
	{Name: "Ready", Type: "string"},
	{Name: "From", Type: "string", Priority: 1},
	{Name: "Age", Type: "string", Priority: 1},
	{Name: "Message", Type: "string"},
}

// row is one line about an object of ours.
type row struct {
	name, revision, suspended, ready, from, age, message string
}

// shownObject is what a row tells of an object, whatever its kind.
type shownObject struct {
	Spec struct {
		Suspend bool `json:"suspend"`
		origin
	} `json:"spec"`
	Status struct {
		Conditions           []metav1.Condition `json:"conditions"`
		LastAppliedRevision  string             `json:"lastAppliedRevision"`  // of a Kustomization
		SourceSyncedCommitID string             `json:"sourceSyncedCommitId"` // of a FluxConfig
		Artifact             *meta.Artifact     `json:"artifact"`             // of a source
		History              []struct {
			ChartVersion string `json:"chartVersion"`
		} `json:"history"` // of a HelmRelease, the newest first
	} `json:"status"`
}

func rowOf(obj *unstructured.Unstructured) row {
	r := row{name: obj.GetName(), suspended: "False", ready: "Unknown", age: "<unknown>"}
	if created := obj.GetCreationTimestamp(); !created.IsZero() {
		r.age = duration.HumanDuration(time.Since(created.Time))
	}
	var s shownObject
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &s); err != nil {
		r.message = "its status has an unexpected form"
		return r
	}
	r.from = s.Spec.text(obj)
	r.revision = short(revisionOf(s))
	if s.Spec.Suspend {
		r.suspended = "True"
	}
	r.ready, r.message = readiness(s)
	return r
}

// readiness is the Ready condition, and its message on one line.
func readiness(s shownObject) (ready, message string) {
	c := apimeta.FindStatusCondition(s.Status.Conditions, meta.ReadyCondition)
	switch {
	case c != nil:
		return string(c.Status), strings.ReplaceAll(strings.TrimSpace(c.Message), "\n", "; ")
	case s.Spec.Suspend:
		return "Unknown", "suspended before it was looked at"
	default:
		return "Unknown", "not looked at yet"
	}
}

func revisionOf(s shownObject) string {
	if h := s.Status.History; len(h) > 0 && h[0].ChartVersion != "" {
		return h[0].ChartVersion
	}
	if a := s.Status.Artifact; a != nil {
		return a.Revision
	}
	return cmp.Or(s.Status.LastAppliedRevision, s.Status.SourceSyncedCommitID)
}

// short is a revision with as much of its digest as people read.
func short(revision string) string {
	i := strings.LastIndex(revision, ":")
	if i < 0 || len(revision)-i-1 <= 12 {
		return revision
	}
	return revision[:i+1+8]
}

// reference names another object.
type reference struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// within is the reference as seen from a namespace.
func (r reference) within(namespace string) string {
	if r.Name == "" {
		return ""
	}
	return r.Kind + "/" + cmp.Or(r.Namespace, namespace) + "/" + r.Name
}

// origin is what an object is made from, in the words of the kinds of ours.
type origin struct {
	URL       string     `json:"url"`       // of a GitRepository, an OCIRepository, a HelmRepository
	Endpoint  string     `json:"endpoint"`  // of a Bucket
	SourceRef *reference `json:"sourceRef"` // of a Kustomization, a HelmChart, an ExternalArtifact
	ChartRef  *reference `json:"chartRef"`  // of a HelmRelease
	Git       *origin    `json:"gitRepository"`
	Bucket    *origin    `json:"bucket"`
	Blob      *origin    `json:"azureBlob"`
	OCI       *origin    `json:"ociRepository"`
	Chart     any        `json:"chart"` // a name in a HelmChart, a template in a HelmRelease
}

// text is where an object comes from: an address, or another object.
func (o origin) text(obj *unstructured.Unstructured) string {
	for _, source := range []*origin{o.Git, o.Bucket, o.Blob, o.OCI} { // of a FluxConfig
		if source != nil {
			return withoutPassword(source.URL)
		}
	}
	for _, ref := range []*reference{o.SourceRef, o.ChartRef} {
		if ref != nil {
			return ref.within(obj.GetNamespace())
		}
	}
	if template, ok := o.Chart.(map[string]any); ok {
		ref := reference{Namespace: obj.GetNamespace()}
		ref.Kind, _, _ = unstructured.NestedString(template, "spec", "sourceRef", "kind")
		ref.Name, _, _ = unstructured.NestedString(template, "spec", "sourceRef", "name")
		if ns, _, _ := unstructured.NestedString(template, "spec", "sourceRef", "namespace"); ns != "" {
			ref.Namespace = ns
		}
		return ref.within(obj.GetNamespace())
	}
	return withoutPassword(cmp.Or(o.URL, o.Endpoint))
}

// withoutPassword is an address as it may be shown.
func withoutPassword(address string) string {
	if u, err := url.Parse(address); err == nil && u.User != nil {
		return u.Redacted()
	}
	return address
}
