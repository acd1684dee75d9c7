package crds_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plumb-gitops/plumb/api/crds"
)

// kinds are held to the contract, one line each: definition and version, as the
// file in testdata/contract is called.
var kinds = []string{
	"buckets.source.toolkit.fluxcd.io_v1",
	"buckets.source.toolkit.fluxcd.io_v1beta2",
	"buckets.source.toolkit.fluxcd.io_v1beta1",
	"externalartifacts.source.toolkit.fluxcd.io_v1",
	"gitrepositories.source.toolkit.fluxcd.io_v1",
	"gitrepositories.source.toolkit.fluxcd.io_v1beta2",
	"gitrepositories.source.toolkit.fluxcd.io_v1beta1",
	"helmcharts.source.toolkit.fluxcd.io_v1",
	"helmcharts.source.toolkit.fluxcd.io_v1beta2",
	"helmcharts.source.toolkit.fluxcd.io_v1beta1",
	"helmreleases.helm.toolkit.fluxcd.io_v2",
	"helmreleases.helm.toolkit.fluxcd.io_v2beta2",
	"helmreleases.helm.toolkit.fluxcd.io_v2beta1",
	"helmrepositories.source.toolkit.fluxcd.io_v1",
	"helmrepositories.source.toolkit.fluxcd.io_v1beta2",
	"helmrepositories.source.toolkit.fluxcd.io_v1beta1",
	"ocirepositories.source.toolkit.fluxcd.io_v1",
	"ocirepositories.source.toolkit.fluxcd.io_v1beta2",
	"kustomizations.kustomize.toolkit.fluxcd.io_v1",
	"kustomizations.kustomize.toolkit.fluxcd.io_v1beta2",
	"kustomizations.kustomize.toolkit.fluxcd.io_v1beta1",
}

// TestContract compares the generated schemas with what the toolkit's clients
// know, line by line.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "contract", kind+".tsv"))
			if err != nil {
				t.Fatal(err)
			}
			for _, breach := range compare(strings.Split(strings.TrimSpace(string(raw)), "\n"), lines(t, kind)) {
				t.Error(breach)
			}
		})
	}
}

// elsewhere are lists that internal/archtest holds pages and tests to: kinds of Azure's
// API, which are not served as such, and its command line.
var elsewhere = []string{"fluxconfigurations", "az-k8s-configuration-flux"}

// TestEveryContractFileIsHeld keeps the table above and the files in step.
func TestEveryContractFileIsHeld(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "contract", "*.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".tsv"); !slices.Contains(kinds, name) && !slices.Contains(elsewhere, name) {
			t.Errorf("%s is compared with nothing: add it to kinds", file)
		}
	}
}

// compare says where got breaks the contract. Fields of our own may come on top
// as long as they are optional: a manifest written for the toolkit has to stay
// valid. Nothing may be missing, and what both have is the same to the letter.
func compare(want, got []string) []string {
	var breaches []string
	byPath := map[string]string{}
	for _, line := range got {
		byPath[path(line)] = line
	}
	named := map[string]bool{}
	for _, line := range want {
		line = strings.TrimRight(line, "\t ")
		named[path(line)] = true
		switch have, ok := byPath[path(line)]; {
		case !ok:
			breaches = append(breaches, "missing:   "+line)
		case have != line:
			breaches = append(breaches, "different: "+have+"\n contract: "+line)
		}
	}
	for _, line := range got {
		if !named[path(line)] && extraIsRequired(line, named) {
			breaches = append(breaches, "required, but not in the contract: "+line)
		}
	}
	if len(breaches) == 0 && !slices.Equal(columns(want), columns(got)) {
		breaches = append(breaches, "other columns: "+strings.Join(columns(got), ", "))
	}
	return breaches
}

// columns are those of the printed table, in their order.
func columns(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "# column ") })
}

// extraIsRequired tells whether an extra field has to be given in something that
// the contract knows. Below an extra object it may.
func extraIsRequired(line string, named map[string]bool) bool {
	columns := strings.Split(line, "\t")
	if len(columns) < 3 || columns[2] != "required" {
		return false
	}
	return named[columns[0][:max(0, strings.LastIndex(columns[0], "."))]]
}

// path is what a line is about: its first column, or the name of a column of
// the printed table, which may have several words, or the heading.
func path(line string) string {
	switch {
	case strings.HasPrefix(line, "# column "):
		words := strings.Fields(line)
		return strings.Join(words[:max(3, len(words)-2)], " ")
	case strings.HasPrefix(line, "# "):
		return "#"
	}
	first, _, _ := strings.Cut(line, "\t")
	return first
}

func TestCompare(t *testing.T) {
	t.Parallel()
	contract := []string{
		"# Kind group/v1 scope=Namespaced shortNames=k categories=all subresources=status",
		"# column Ready string .status.ready",
		"# column Source Kind string .spec.kind",
		"spec\tobject\t\t",
		"spec.mode\tstring\trequired\tenum=[\"a\", \"b\"]",
	}
	for name, tc := range map[string]struct {
		edit func(lines []string) []string
		want string
	}{
		"the same is accepted":             {func(l []string) []string { return l }, ""},
		"an optional field comes on top":   {func(l []string) []string { return append(l, "spec.own\tstring") }, ""},
		"an object of our own may require": {func(l []string) []string { return append(l, "spec.own\tobject", "spec.own.name\tstring\trequired") }, ""},
		"a required field on top":          {func(l []string) []string { return append(l, "spec.own\tstring\trequired") }, "required, but not in the contract: spec.own"},
		"a missing field":                  {func(l []string) []string { return l[:4] }, "missing:   spec.mode"},
		"another type":                     {replaced("spec.mode\tstring", "spec.mode\tinteger"), "different: spec.mode\tinteger"},
		"another order of an enum":         {replaced(`"a", "b"`, `"b", "a"`), "different: spec.mode"},
		"no longer required":               {replaced("required", ""), "different: spec.mode"},
		"another column":                   {replaced(".status.ready", ".status.set"), "different: # column Ready"},
		"another column of two words":      {replaced(".spec.kind", ".spec.name"), "different: # column Source Kind"},
		"an additional column":             {replaced("# column Ready", "# column Own string .spec.own\n# column Ready"), "other columns: "},
		"another order of columns": {func(l []string) []string {
			return append([]string{l[0], l[2], l[1]}, l[3:]...)
		}, "other columns: # column Source Kind"},
		"another short name": {replaced("shortNames=k ", "shortNames=kk "), "different: # Kind"},
		"another scope":      {replaced("Namespaced", "Cluster"), "different: # Kind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := slices.Clone(contract)
			for i := range own {
				own[i] = strings.TrimRight(own[i], "\t ")
			}
			got := strings.Join(compare(contract, tc.edit(own)), "\n")
			if (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func replaced(old, by string) func([]string) []string {
	return func(lines []string) []string {
		return strings.Split(strings.ReplaceAll(strings.Join(lines, "\n"), old, by), "\n")
	}
}

// lines flattens one version of a definition into the contract's form.
func lines(t *testing.T, kind string) []string {
	t.Helper()
	name, version, _ := strings.Cut(kind, "_")
	all, err := crds.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range all {
		if obj.GetName() == name {
			return flatten(t, obj, version)
		}
	}
	t.Fatalf("no definition %s", name)
	return nil
}
