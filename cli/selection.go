package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/kube"
)

// selection are the flags that tell which objects are meant, as kubectl has them.
type selection struct {
	namespace  string
	everywhere bool
	labels     string
	all        bool
}

// add makes the flags of a command that may be about several objects.
func (s *selection) add(g *global, cmd *cobra.Command) {
	namespaceFlag(g, cmd, &s.namespace)
	cmd.Flags().BoolVarP(&s.everywhere, "all-namespaces", "A", false, "look in all namespaces")
	cmd.Flags().StringVarP(&s.labels, "selector", "l", "", "label selector, such as team=web")
}

// addAll makes the flag that changing commands want in place of names.
func (s *selection) addAll(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.all, "all", false, "every object of the kind")
}

// namespaceFlag is -n, with completion.
func namespaceFlag(g *global, cmd *cobra.Command, namespace *string) {
	cmd.Flags().StringVarP(namespace, "namespace", "n", "", "namespace to look in (default: that of the kubeconfig's context)")
	_ = cmd.RegisterFlagCompletionFunc("namespace", g.completeNamespaces) // it fails only for a flag that is not there
}

// request is a kind, and the names that are asked for; none for all of the kind.
type request struct {
	kind  schema.GroupVersionKind
	names []string
}

// requests reads KIND [NAME...], KIND,KIND..., KIND/NAME..., or a word for several
// kinds.
func (l *lookup) requests(args []string) ([]request, error) {
	if strings.Contains(strings.Join(args, " "), "/") {
		return l.pairs(args)
	}
	var out []request
	for _, name := range strings.Split(args[0], ",") {
		kinds, err := l.kinds(name)
		if err != nil {
			return nil, err
		}
		for _, kind := range kinds {
			out = append(out, request{kind, args[1:]})
		}
	}
	if len(args) > 1 && len(out) > 1 {
		return nil, usage(fmt.Errorf("%s: names go with one kind: give KIND/NAME for objects of several", strings.Join(args, " ")))
	}
	return out, nil
}

// kinds are what a name stands for. Of a group of kinds those are left out that the
// cluster does not serve.
func (l *lookup) kinds(name string) ([]schema.GroupVersionKind, error) {
	belongs, isGroup := groups[strings.ToLower(name)]
	if !isGroup {
		kind, err := l.kind(name)
		return []schema.GroupVersionKind{kind}, err
	}
	var out []schema.GroupVersionKind
	for _, k := range ourKinds {
		if !belongs(k) {
			continue
		}
		kind, err := l.served(k.GroupVersionKind)
		if errors.Is(err, errNotServed) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, kind)
	}
	if len(out) == 0 {
		return nil, errors.New("the cluster has none of Plumb's definitions: plumb install --crds-only adds them")
	}
	return out, nil
}

// pairs reads KIND/NAME...
func (l *lookup) pairs(args []string) ([]request, error) {
	var out []request
	for _, arg := range args {
		kind, name, ok := strings.Cut(arg, "/")
		if !ok || kind == "" || name == "" || strings.Contains(name, "/") {
			return nil, usage(fmt.Errorf("%q: want KIND/NAME, such as kustomization/apps", arg))
		}
		gvk, err := l.kind(kind)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(out, func(r request) bool { return r.kind == gvk }); i >= 0 {
			out[i].names = append(out[i].names, name)
			continue
		}
		out = append(out, request{gvk, []string{name}})
	}
	return out, nil
}

// ourRequests is requests for kinds of ours alone. hint tells what to do about
// others.
func (l *lookup) ourRequests(args []string, hint string) ([]request, error) {
	requests, err := l.requests(args)
	if err != nil {
		return nil, err
	}
	for _, r := range requests {
		if !isOurs(r.kind.GroupKind()) {
			return nil, usage(fmt.Errorf("%s is none of the kinds of Plumb, which are %s; %s", r.kind.Kind, strings.Join(kindNames(), ", "), hint))
		}
	}
	return requests, nil
}

// check refuses flags that contradict each other or what is asked for. explicit
// wants names, a selector or --all: a command that changes things should not do so to
// everything by mistake.
func (s *selection) check(requests []request, explicit bool) error {
	if _, err := labels.Parse(s.labels); err != nil {
		return usage(fmt.Errorf("-l %s: %w; want a label selector, such as team=web", s.labels, err))
	}
	for _, r := range requests {
		switch named := len(r.names) > 0; {
		case named && (s.labels != "" || s.all):
			return usage(errors.New("give names, or a selector, or --all: not two of them"))
		case named && s.everywhere:
			return usage(errors.New("a name is looked for in one namespace: give -n, not -A"))
		case s.all && s.labels != "":
			return usage(errors.New("give --selector or --all, not both"))
		case explicit && !named && s.labels == "" && !s.all:
			return usage(fmt.Errorf("%s: give names, --selector or --all", r.kind.Kind))
		}
	}
	return nil
}

// selected are objects of ours that were asked for.
type selected struct {
	*lookup
	requests []request
	found    []unstructured.Unstructured
	missing  []error // about those that were named and are not there
}

// several tells whether more than one kind was asked for.
func (s *selected) several() bool { return len(s.requests) > 1 }

// read finds objects of ours by the arguments of a command. explicit is as for check,
// hint as for ourRequests.
func (s *selection) read(ctx context.Context, g *global, args []string, explicit bool, hint string) (*selected, error) {
	l, err := g.lookup(s.namespace)
	if err != nil {
		return nil, err
	}
	requests, err := l.ourRequests(args, hint)
	if err != nil {
		return nil, err
	}
	if err := s.check(requests, explicit); err != nil {
		return nil, err
	}
	found, missing, err := s.find(ctx, l, requests)
	return &selected{l, requests, found, missing}, err
}

// scope is the namespace to look in, "" for all.
func (s *selection) scope(l *lookup) string {
	if s.everywhere {
		return metav1.NamespaceAll
	}
	return l.namespace
}

// find reads what is asked for. missing are objects that were named and are not
// there.
func (s *selection) find(ctx context.Context, l *lookup, requests []request) (found []unstructured.Unstructured, missing []error, err error) {
	for _, r := range requests {
		if len(r.names) == 0 {
			items, err := l.List(ctx, r.kind, s.scope(l), s.labels)
			if err != nil {
				return nil, nil, fmt.Errorf("list %s: %w", r.kind.Kind, err)
			}
			found = append(found, items...)
			continue
		}
		for _, name := range r.names {
			key, err := l.keyOf(r.kind, name)
			if err != nil {
				return nil, nil, err
			}
			obj, err := l.Get(ctx, key)
			switch {
			case apierrors.IsNotFound(err):
				missing = append(missing, l.notFound(ctx, key))
			case err != nil:
				return nil, nil, fmt.Errorf("%s: %w", key, err)
			default:
				found = append(found, *obj)
			}
		}
	}
	return found, missing, nil
}

// keyOf names an object, in the namespace that is looked in if the kind has any.
func (l *lookup) keyOf(gvk schema.GroupVersionKind, name string) (kube.Key, error) {
	m, err := l.Mapping(gvk)
	if err != nil {
		return kube.Key{}, err
	}
	key := kube.Key{ObjMetadata: object.ObjMetadata{Name: name, GroupKind: gvk.GroupKind()}, Version: gvk.Version}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		key.Namespace = l.namespace
	}
	return key, nil
}

// notFound says that an object is not there, and where one of its name is.
func (l *lookup) notFound(ctx context.Context, key kube.Key) error {
	list, err := l.List(ctx, key.GVK(), metav1.NamespaceAll, "")
	if err != nil { // it is only for a hint
		return fmt.Errorf("%s: not found", key)
	}
	for i := range list {
		if list[i].GetName() == key.Name && key.Namespace != "" {
			return fmt.Errorf("%s: not found; there is one in namespace %s: give -n %s", key, list[i].GetNamespace(), list[i].GetNamespace())
		}
	}
	return fmt.Errorf("%s: not found", key)
}
