package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// ourKind is a kind that Plumb defines, in the version that it stores, with the
// names that people give it.
type ourKind struct {
	schema.GroupVersionKind
	plural string
	short  string // "" for none
}

// ourKinds are all that Plumb defines, in the order in which commands show them.
// They stand here and are not read from the definitions, so that a completion is
// there at once; a test compares the two.
var ourKinds = []ourKind{
	{clusterconfigv1.GroupVersion.WithKind(clusterconfigv1.FluxConfigKind), "fluxconfigs", "fc"},
	{sourcev1.GroupVersion.WithKind(sourcev1.GitRepositoryKind), "gitrepositories", "gitrepo"},
	{sourcev1.GroupVersion.WithKind(sourcev1.OCIRepositoryKind), "ocirepositories", "ocirepo"},
	{sourcev1.GroupVersion.WithKind(sourcev1.BucketKind), "buckets", ""},
	{sourcev1.GroupVersion.WithKind(sourcev1.HelmRepositoryKind), "helmrepositories", "helmrepo"},
	{sourcev1.GroupVersion.WithKind(sourcev1.HelmChartKind), "helmcharts", "hc"},
	{sourcev1.GroupVersion.WithKind(sourcev1.ExternalArtifactKind), "externalartifacts", "ea"},
	{kustomizev1.GroupVersion.WithKind(kustomizev1.KustomizationKind), "kustomizations", "ks"},
	{helmv2.GroupVersion.WithKind(helmv2.HelmReleaseKind), "helmreleases", "hr"},
}

func (k ourKind) singular() string { return strings.ToLower(k.Kind) }

// isCalled tells whether a name, in lower case, means the kind: singular, plural or
// short, with or without the group ("kustomizations.kustomize.toolkit.fluxcd.io").
func (k ourKind) isCalled(name string) bool {
	name = strings.TrimSuffix(name, "."+k.Group)
	return name == k.singular() || name == k.plural || name == k.short && name != ""
}

// isOurs tells whether Plumb defines a kind, in whichever version.
func isOurs(gk schema.GroupKind) bool {
	return slices.ContainsFunc(ourKinds, func(k ourKind) bool { return k.GroupKind() == gk })
}

// groups are words for several kinds at once.
var groups = map[string]func(ourKind) bool{
	"all":     func(ourKind) bool { return true },
	"sources": func(k ourKind) bool { return k.Group == sourcev1.GroupVersion.Group },
}

// kindNames are the singular names of our kinds, in alphabetical order.
func kindNames() []string {
	var out []string
	for _, k := range ourKinds {
		out = append(out, k.singular())
	}
	slices.Sort(out)
	return out
}

// unknownKind says that there is no kind of a name, and which one may be meant.
func unknownKind(name string) error {
	known := strings.Join(kindNames(), ", ")
	if near := nearestKind(name); near != "" {
		return usage(fmt.Errorf("the cluster knows no kind %q: did you mean %s? The kinds of Plumb are %s", name, near, known))
	}
	return usage(fmt.Errorf("the cluster knows no kind %q: the kinds of Plumb are %s; kubectl api-resources lists all others", name, known))
}

// nearestKind is the name of one of our kinds that is written most like another
// name, "" when none is alike.
func nearestKind(name string) string {
	name = strings.ToLower(name)
	best, distance := "", len(name)/2
	for _, k := range ourKinds {
		for _, known := range []string{k.singular(), k.plural} {
			if d := levenshtein.Distance(name, known, nil); d < distance {
				best, distance = known, d
			}
		}
	}
	return best
}

// kind finds a kind by its name, plural, short name, or any of them with a group
// ("deployments.apps"). Ours come first: a short name means ours though another
// definition has the same.
func (l *lookup) kind(name string) (schema.GroupVersionKind, error) {
	lower := strings.ToLower(name)
	for _, k := range ourKinds {
		if k.isCalled(lower) {
			return l.served(k.GroupVersionKind)
		}
	}
	full, short := schema.ParseResourceArg(lower)
	gvk, err := l.mapper.KindFor(short.WithVersion(""))
	if err != nil && full != nil { // "kustomizations.v1beta2.kustomize.toolkit.fluxcd.io"
		gvk, err = l.mapper.KindFor(*full)
	}
	switch {
	case meta.IsNoMatchError(err):
		return schema.GroupVersionKind{}, unknownKind(name)
	case err != nil:
		return schema.GroupVersionKind{}, fmt.Errorf("look for the kind %s: %w", name, err)
	}
	return gvk, nil
}

// errNotServed says that a definition is missing.
var errNotServed = errors.New("the cluster has no definition of it: plumb install --crds-only adds it")

// served is a kind of ours in a version that the cluster has. One that was set up
// for the toolkit's older controllers may lack the newest.
func (l *lookup) served(gvk schema.GroupVersionKind) (schema.GroupVersionKind, error) {
	m, err := l.Mapping(gvk)
	if meta.IsNoMatchError(err) {
		m, err = l.Mapper().RESTMapping(gvk.GroupKind())
	}
	switch {
	case meta.IsNoMatchError(err):
		return gvk, fmt.Errorf("%s: %w", gvk.Kind, errNotServed)
	case err != nil:
		return gvk, fmt.Errorf("%s: %w", gvk.Kind, err)
	}
	return m.GroupVersionKind, nil
}
