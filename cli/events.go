package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/explain"
	"github.com/plumb-gitops/plumb/internal/kube"
)

type eventFlags struct {
	selection
	output string
	types  []string
	tree   bool
	watch  bool
}

func newEvents(g *global) *cobra.Command {
	var f eventFlags
	cmd := &cobra.Command{
		Use:   "events [KIND/NAME... | KIND [NAME...]]",
		Short: "Show what was said about objects and their sources, in order",
		Long: `Shows the events about objects, and about what these are made from: the source of a
Kustomization, the repository and the chart of a HelmRelease, the source and the
Kustomizations of a FluxConfig. The newest come last; those that say the same are counted.
Without an object, events of all of Plumb's kinds are shown.`,
		Example: `  plumb events -n flux-system
  plumb events kustomization/apps -n flux-system
  plumb events hr/podinfo -n apps --tree --types Warning
  plumb events -A --watch`,
		RunE:              func(cmd *cobra.Command, args []string) error { return showEvents(cmd.Context(), g, f, args) },
		ValidArgsFunction: g.completeObjects("all", "sources"),
	}
	f.selection.add(g, cmd)
	outputFlag(cmd, &f.output, "table", "json", "yaml")
	cmd.Flags().StringSliceVar(&f.types, "types", nil, "only events of these types: Normal, Warning")
	cmd.Flags().BoolVar(&f.tree, "tree", false, "show those of all that the objects brought to the cluster, too")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "go on and print each event as it comes, until Ctrl-C")
	return cmd
}

// check refuses what can't be meant.
func (f *eventFlags) check(args []string) error {
	for i, t := range f.types {
		known := slices.IndexFunc([]string{"Normal", "Warning"}, func(k string) bool { return strings.EqualFold(k, t) })
		if known < 0 {
			return usage(fmt.Errorf("--types %s: want Normal or Warning", t))
		}
		f.types[i] = []string{"Normal", "Warning"}[known]
	}
	if len(args) == 0 && (f.labels != "" || f.tree) {
		return usage(errors.New("give a kind, such as kustomizations, with --selector or --tree"))
	}
	return checkOutput(f.output, []string{"table", "json", "yaml"})
}

func showEvents(ctx context.Context, g *global, f eventFlags, args []string) error {
	if err := f.check(args); err != nil {
		return err
	}
	l, err := g.lookup(f.namespace)
	if err != nil {
		return err
	}
	about, err := f.about(ctx, l, args)
	if err != nil {
		return err
	}
	p := &eventPrinter{g: g, format: f.output, lines: printers.GetNewTabWriter(g.out)}
	var found []explain.Event
	printed := newlySeen(nil)
	for _, namespace := range about.namespaces {
		items, err := l.List(ctx, explain.EventKind, namespace, "")
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		for i := range items {
			if e, err := explain.EventOf(&items[i]); err == nil && f.wants(e) && about.has(e.About) {
				found = append(found, e)
			}
			printed.isNew(&items[i])
		}
	}
	found = explain.Merge(found)
	if err := p.print(found); err != nil {
		return err
	}
	if f.watch {
		return watchEvents(ctx, l, f, about, printed, p)
	}
	if len(found) == 0 && f.output == "table" {
		fmt.Fprintln(g.err, "no events found", where(f.scope(l)))
	}
	return nil
}

func (f *eventFlags) wants(e explain.Event) bool {
	return len(f.types) == 0 || slices.Contains(f.types, e.Type)
}

// about is what events are wanted of: some objects, or without those all of ours.
type about struct {
	objects    map[object.ObjMetadata]bool
	namespaces []string // in which the events are, "" for all
}

func (a about) has(o object.ObjMetadata) bool {
	if a.objects == nil {
		return isOurs(o.GroupKind)
	}
	return a.objects[o]
}

func (a *about) add(keys ...kube.Key) {
	for _, key := range keys {
		a.objects[key.ObjMetadata] = true
		// Events about objects that have no namespace are in "default".
		if namespace := cmp.Or(key.Namespace, metav1.NamespaceDefault); !slices.Contains(a.namespaces, namespace) {
			a.namespaces = append(a.namespaces, namespace)
		}
	}
}

// about finds the objects that are asked for, with what these are made from. One that
// is named and gone may still have events.
func (f *eventFlags) about(ctx context.Context, l *lookup, args []string) (about, error) {
	if len(args) == 0 {
		return about{namespaces: []string{f.scope(l)}}, nil
	}
	requests, err := l.requests(args)
	if err != nil {
		return about{}, err
	}
	if err := f.selection.check(requests, false); err != nil {
		return about{}, err
	}
	found, _, err := f.find(ctx, l, requests)
	if err != nil {
		return about{}, err
	}
	out := about{objects: map[object.ObjMetadata]bool{}}
	for _, r := range requests {
		for _, name := range r.names {
			key, err := l.keyOf(r.kind, name)
			if err != nil {
				return about{}, err
			}
			out.add(key)
		}
	}
	for i := range found {
		if err := f.addAround(ctx, l, &out, &found[i]); err != nil {
			return about{}, err
		}
	}
	return out, nil
}

// addAround adds an object with what it is made from and, if that is wanted, what it
// brought.
func (f *eventFlags) addAround(ctx context.Context, l *lookup, out *about, obj *unstructured.Unstructured) error {
	key := kube.KeyOf(obj)
	origins, err := explain.Origins(ctx, l, obj)
	if err != nil {
		return err
	}
	parts, err := explain.Parts(ctx, l, obj)
	if err != nil {
		return err
	}
	out.add(key)
	out.add(origins...)
	out.add(parts...)
	if !f.tree {
		return nil
	}
	root, err := explain.Tree(ctx, l, key, true)
	if errors.Is(err, explain.ErrNotFound) {
		return nil // it went meanwhile
	}
	out.add(root.Keys()...)
	return err
}

// watchEvents prints what comes until Ctrl-C, which is how it ends.
func watchEvents(ctx context.Context, l *lookup, f eventFlags, about about, printed *seen, p *eventPrinter) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, namespace := range about.namespaces {
		resource, err := l.Resource(explain.EventKind, namespace)
		if err != nil {
			return err
		}
		all.Go(func() {
			follow(running, resource, metav1.ListOptions{}, func(obj *unstructured.Unstructured, gone bool) {
				e, err := explain.EventOf(obj)
				if gone || err != nil || !printed.isNew(obj) || !f.wants(e) || !about.has(e.About) {
					return
				}
				if err := p.one(e); err != nil {
					cancel(err) // whoever read it has gone
				}
			})
		})
	}
	all.Wait()
	return endOfWatch(ctx, running)
}

// eventPrinter prints events, in the columns of kubectl events.
type eventPrinter struct {
	g      *global
	format string

	mu    sync.Mutex
	lines flusher // remembers widths
	begun bool    // the header is there
}

// print prints events that were found together.
func (p *eventPrinter) print(events []explain.Event) error {
	if p.format != "table" {
		return printValue(p.g.out, p.format, append([]explain.Event{}, events...), nil)
	}
	return p.rows(events)
}

// one prints an event that came.
func (p *eventPrinter) one(e explain.Event) error {
	if p.format == "table" {
		return p.rows([]explain.Event{e})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return printValue(p.g.out, p.format, e, nil)
}

func (p *eventPrinter) rows(events []explain.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun && len(events) > 0 {
		p.begun = true
		fmt.Fprintln(p.lines, "LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE")
	}
	for _, e := range events {
		message := strings.ReplaceAll(strings.TrimSpace(e.Message), "\n", "; ")
		fmt.Fprintf(p.lines, "%s\t%s\t%s\t%s\t%s\n", lastSeen(e, time.Now()), e.Type, e.Reason, e.Object, printers.EscapeTerminal(message))
	}
	return p.lines.Flush()
}

// lastSeen is how long ago an event was seen, and how often before.
func lastSeen(e explain.Event, now time.Time) string {
	ago := duration.HumanDuration(now.Sub(e.Last))
	if e.Count < 2 {
		return ago
	}
	return fmt.Sprintf("%s (x%d over %s)", ago, e.Count, duration.HumanDuration(now.Sub(e.First)))
}
