// Package render makes the manifests of a Helm release out of a chart and values,
// and does nothing else with them.
package render

import (
	"fmt"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/client-go/rest"
)

// Input is what a release is made of.
type Input struct {
	Chart        *chart.Chart // the caller's own: dependencies that are off are taken out of it
	Values       map[string]any
	Name         string
	Namespace    string
	Upgrade      bool // it is there already
	Revision     int
	Capabilities *chartutil.Capabilities // of the cluster; those of the SDK when nil
	// Cluster is where templates look things up; without one they find nothing.
	Cluster *rest.Config
	// SkipSchema leaves out checking the values against the chart's schema.
	SkipSchema bool
}

// Output is what a chart renders.
type Output struct {
	Manifest    string          // the objects of the release, in the order in which Helm installs
	Hooks       []*release.Hook // what runs around it
	Definitions [][]byte        // files of the folder crds
	Notes       string
}

// Render renders a chart. The error names the chart's file.
func Render(in Input) (*Output, error) {
	if err := chartutil.ProcessDependenciesWithMerge(in.Chart, in.Values); err != nil {
		return nil, fmt.Errorf("chart %s: %w", in.Chart.Name(), err)
	}
	options := chartutil.ReleaseOptions{Name: in.Name, Namespace: in.Namespace, Revision: max(in.Revision, 1), IsInstall: !in.Upgrade, IsUpgrade: in.Upgrade}
	capabilities := in.Capabilities
	if capabilities == nil {
		capabilities = chartutil.DefaultCapabilities.Copy()
	}
	values, err := chartutil.ToRenderValuesWithSchemaValidation(in.Chart, in.Values, options, capabilities, in.SkipSchema)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", in.Chart.Name(), err)
	}
	var files map[string]string
	if in.Cluster != nil {
		files, err = engine.RenderWithClient(in.Chart, values, in.Cluster)
	} else {
		files, err = engine.Render(in.Chart, values)
	}
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", in.Chart.Name(), err)
	}
	return sorted(in.Chart, files)
}

// sorted takes what was rendered apart.
func sorted(ch *chart.Chart, files map[string]string) (*Output, error) {
	out := &Output{}
	for name, text := range files {
		if path.Base(name) != "NOTES.txt" {
			continue
		}
		if name == path.Join(ch.ChartFullPath(), "templates", "NOTES.txt") {
			out.Notes = text
		}
		delete(files, name)
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", ch.Name(), err)
	}
	text := strings.Builder{}
	for _, m := range manifests {
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", m.Name, m.Content)
	}
	out.Manifest, out.Hooks = text.String(), hooks
	for _, crd := range ch.CRDObjects() {
		out.Definitions = append(out.Definitions, crd.File.Data)
	}
	return out, nil
}
