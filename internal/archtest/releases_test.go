package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// releaseRow is a line of a table on docs/helmrelease.md: the fields, what they mean,
// and what shows them.
var releaseRow = regexp.MustCompile("(?m)^\\| (`(?:spec|status)\\.[^|]*`) \\| [^|]+ \\| ([^|]*) \\|$")

// TestFieldsOfHelmReleasesHaveTests: the page has every field of every version of the
// contract, and names tests that are there.
func TestFieldsOfHelmReleasesHaveTests(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	page, err := fs.ReadFile(root, "docs/helmrelease.md")
	if err != nil {
		t.Fatal(err)
	}
	var contract strings.Builder
	for _, version := range []string{"v2", "v2beta2", "v2beta1"} {
		text, err := fs.ReadFile(root, "testdata/contract/helmreleases.helm.toolkit.fluxcd.io_"+version+".tsv")
		if err != nil {
			t.Fatal(err)
		}
		contract.Write(text)
	}
	for _, breach := range untested(root, releaseFields(string(page)), map[string]string{"HelmRelease": contract.String()}) {
		t.Error(breach)
	}
}

// releaseFields are the rows of the page in the form of docs/sources.md.
func releaseFields(page string) string {
	out := strings.Builder{}
	out.WriteString("# Fields\n\n## HelmRelease\n")
	for _, row := range releaseRow.FindAllStringSubmatch(page, -1) {
		fmt.Fprintf(&out, "| %s | %s |\n", row[1], row[2])
	}
	return out.String()
}

// TestReleaseFields: a row without a test is one of which untested says so, and a line of
// another table is none.
func TestReleaseFields(t *testing.T) {
	t.Parallel()
	const page = "| field | meaning | shown by |\n| --- | --- | --- |\n| `spec.a`, `spec.b` | two | `oci.txtar` |\n| `status.c` | none | – |\n\n| `Ready` | `True` |\n"
	const want = "# Fields\n\n## HelmRelease\n| `spec.a`, `spec.b` | `oci.txtar` |\n| `status.c` | – |\n"
	if got := releaseFields(page); got != want {
		t.Errorf("got\n%s", got)
	}
}
