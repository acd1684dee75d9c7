package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

type getFlags struct {
	selection
	listingFlags
	watch bool
}

func newGet(g *global) *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get KIND [NAME...] | KIND/NAME...",
		Short: "List objects and how they are",
		Long: `Lists objects of Plumb's kinds with their revision, and whether they are ready and why not.
Kinds are named as kubectl does, several with a comma between them; "sources" stands for
every kind of source, and "all" for all kinds.`,
		Example: `  plumb get all -A
  plumb get sources -n flux-system
  plumb get gitrepositories -n flux-system -l team=web
  plumb get ks apps -o yaml
  plumb get ks,hr -A -o wide
  plumb get kustomizations -A --watch`,
		Args: kindArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return getObjects(cmd.Context(), g, f, args)
		},
		ValidArgsFunction: g.completeObjects("all", "sources"),
	}
	f.selection.add(g, cmd)
	f.listingFlags.add(cmd)
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "go on and print each change, until Ctrl-C")
	return cmd
}

// kindArgs wants a kind at least.
func kindArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage(fmt.Errorf("%s: want a kind, such as kustomizations; the kinds of Plumb are %s", cmd.CommandPath(), strings.Join(kindNames(), ", ")))
	}
	return nil
}

func getObjects(ctx context.Context, g *global, f getFlags, args []string) error {
	if err := f.listingFlags.check(); err != nil {
		return err
	}
	s, err := f.read(ctx, g, args, false, "kubectl get shows others")
	if err != nil {
		return err
	}
	p := newListing(g.out, f.listingFlags, f.everywhere, s.several())
	p.single = !s.several() && len(s.requests[0].names) == 1
	if len(s.found) > 0 || p.structured() && len(s.missing) == 0 {
		if err := p.print(s.found); err != nil {
			return err
		}
	}
	if len(s.missing) > 0 {
		return errors.Join(s.missing...)
	}
	if f.watch {
		return watchObjects(ctx, s, f, p)
	}
	if len(s.found) == 0 && !p.structured() {
		fmt.Fprintln(g.err, "nothing found", where(f.scope(s.lookup)))
	}
	return nil
}

// where says which namespace was looked in.
func where(namespace string) string {
	if namespace == metav1.NamespaceAll {
		return "in any namespace"
	}
	return "in namespace " + namespace
}

// watchObjects prints each change until Ctrl-C, which is how it ends.
func watchObjects(ctx context.Context, s *selected, f getFlags, p *listing) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	news := newlySeen(s.found)
	var all sync.WaitGroup
	for _, r := range s.requests {
		resource, err := s.Resource(r.kind, f.scope(s.lookup))
		if err != nil {
			return err
		}
		all.Go(func() {
			follow(running, resource, metav1.ListOptions{LabelSelector: f.labels}, func(obj *unstructured.Unstructured, gone bool) {
				if !r.wants(obj.GetName()) || !gone && !news.isNew(obj) {
					return
				}
				if err := p.change(obj, gone); err != nil {
					cancel(err) // whoever read it has gone
				}
			})
		})
	}
	all.Wait()
	return endOfWatch(ctx, running)
}

// endOfWatch is nil after Ctrl-C, and else why the watch ended.
func endOfWatch(ctx, running context.Context) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // Ctrl-C is how a watch ends
	}
	return context.Cause(running)
}

// wants tells whether a request is about an object of its kind.
func (r request) wants(name string) bool {
	if len(r.names) == 0 {
		return true
	}
	for _, n := range r.names {
		if n == name {
			return true
		}
	}
	return false
}

// seen are the versions of objects that were printed.
type seen struct {
	mu       sync.Mutex
	versions map[types.UID]string
}

func newlySeen(printed []unstructured.Unstructured) *seen {
	s := &seen{versions: map[types.UID]string{}}
	for i := range printed {
		s.isNew(&printed[i])
	}
	return s
}

// isNew notes a version of an object and tells whether it is another than the last.
func (s *seen) isNew(obj *unstructured.Unstructured) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := obj.GetResourceVersion()
	if s.versions[obj.GetUID()] == version {
		return false
	}
	s.versions[obj.GetUID()] = version
	return true
}
