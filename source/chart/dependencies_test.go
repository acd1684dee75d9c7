package chart_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/chart"
	"github.com/plumb-gitops/plumb/source/helmrepo"
)

func TestDependencies(t *testing.T) {
	t.Parallel()
	private := testhelm.Start(t, testhelm.Options{Username: "reader", Password: "right"})
	private.Publish(t, map[string][]byte{"db-1.0.0.tgz": testhelm.Chart(t, "db", "1.0.0", nil), "db-1.1.0.tgz": testhelm.Chart(t, "db", "1.1.0", nil)})
	registry := testregistry.Start(t, testregistry.Options{})
	pushChart(t, registry, "3.0.0", testhelm.Chart(t, "app", "3.0.0", nil))
	atRegistry := "oci://" + registry.Address
	login := func(_ context.Context, url string) (helmrepo.Spec, error) {
		return helmrepo.Spec{URL: url, Username: "reader", Password: "right", Insecure: true}, nil
	}
	const head = "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n"
	for name, c := range map[string]struct {
		needs, lock string
		files       map[string]string
		want        []string // name and version of what it depends on
		fails       string
	}{
		"in the same source":       {needs: "- {name: lib, version: '>=0.1.0', repository: 'file://../lib'}\n", want: []string{"lib 0.2.0"}},
		"with an alias":            {needs: "- {name: lib, version: 0.2.0, repository: 'file://../lib', alias: one}\n- {name: lib, version: 0.2.0, repository: 'file://../lib', alias: two}\n", want: []string{"one 0.2.0", "two 0.2.0"}},
		"in a repository":          {needs: "- {name: db, version: 1.x, repository: " + private.URL + "}\n", want: []string{"db 1.1.0"}},
		"as the lock file says":    {needs: "- {name: db, version: 1.x, repository: " + private.URL + "/}\n", lock: "dependencies:\n- {name: db, version: 1.0.0, repository: " + private.URL + "}\n", want: []string{"db 1.0.0"}},
		"in a registry":            {needs: "- {name: app, version: 3.0.0, repository: '" + atRegistry + "'}\n", want: []string{"app 3.0.0"}},
		"two of them":              {needs: "- {name: lib, version: '*', repository: 'file://../lib'}\n- {name: db, version: '*', repository: " + private.URL + "}\n", want: []string{"db 1.1.0", "lib 0.2.0"}},
		"that it brings":           {needs: "- {name: own, version: 1.x, repository: 'https://nowhere.invalid'}\n", files: map[string]string{"charts/app/charts/own/Chart.yaml": "apiVersion: v2\nname: own\nversion: 1.0.0\n"}, want: []string{"own 1.0.0"}},
		"none":                     {needs: " []\n"},
		"a lock that is old":       {needs: "- {name: db, version: 1.1.x, repository: " + private.URL + "}\n", lock: "dependencies:\n- {name: db, version: 1.0.0, repository: " + private.URL + "}\n", fails: "run helm dependency update"},
		"outside of the source":    {needs: "- {name: lib, version: '*', repository: 'file://../../../lib'}\n", fails: "is outside of the source"},
		"another version":          {needs: "- {name: lib, version: 9.x, repository: 'file://../lib'}\n", fails: `version 0.2.0, and wanted is version "9.x"`},
		"in no folder":             {needs: "- {name: lib, version: '*', repository: 'file://../none'}\n", fails: "there is no folder charts/none"},
		"by the name of a machine": {needs: "- {name: lib, version: '*', repository: '@stable'}\n", fails: `repository "@stable": write its URL`},
		"nowhere":                  {needs: "- {name: lib, version: '*'}\n", fails: "no repository is named"},
		"a version that is none":   {needs: "- {name: db, version: 7.x, repository: " + private.URL + "}\n", fails: "none of its 2 versions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"charts/app/Chart.yaml": head + c.needs, "charts/lib/Chart.yaml": "apiVersion: v2\nname: lib\nversion: 0.2.0\n", "charts/lib/values.yaml": "x: 1\n"}
			if c.lock != "" {
				files["charts/app/Chart.lock"] = c.lock
			}
			maps.Copy(files, c.files)
			b := newBuilt(t, t.TempDir(), source.DefaultLimits())
			got, _, err := b.builder.Fetch(t.Context(), chart.Spec{Chart: "charts/app", Source: snapshot(t, tree(files), revisionA), Dependencies: login}, "")
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b.files(t, got)
			packed, err := b.store.Read(got.Archive.Hash)
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := loader.LoadArchive(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			if err := chartutil.ProcessDependenciesWithMerge(loaded, loaded.Values); err != nil {
				t.Error(err)
			}
			var found []string
			for _, d := range loaded.Dependencies() {
				if one := d.Metadata.Name + " " + d.Metadata.Version; !slices.Contains(found, one) {
					found = append(found, one)
				}
			}
			slices.Sort(found)
			if !slices.Equal(found, c.want) {
				t.Errorf("it depends on %v, want %v", found, c.want)
			}
		})
	}
}
