package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// ownFluxConfigFields are those of a FluxConfig that Azure's API lacks.
var ownFluxConfigFields = []string{"spec.operationId", "spec.correlationId", "status.conditions", "status.lastSucceededGeneration"}

// TestFieldsOfFluxConfigHaveTests: whoever looks for the test of a field of Azure's
// fluxConfigurations finds it on docs/fluxconfig.md, and finds all of them.
func TestFieldsOfFluxConfigHaveTests(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	var texts [2]string
	for i, name := range []string{"docs/fluxconfig.md", "testdata/contract/fluxconfigurations.tsv"} {
		raw, err := fs.ReadFile(root, name)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(raw)
	}
	for _, breach := range untestedFluxConfig(root, texts[0], texts[1]) {
		t.Error(breach)
	}
}

// fluxConfigRow is a line of the table: the fields, what becomes of them, what shows that.
var fluxConfigRow = regexp.MustCompile("(?m)^\\| (`(?:spec|status|protected|metadata)\\.[^|]*`) \\| ([^|]*) \\| ([^|]*) \\|$")

// untestedFluxConfig says which fields of the contract the page has no row for, and which
// of its rows name what is not there.
func untestedFluxConfig(root fs.FS, page, contract string) (breaches []string) {
	rows := map[string]bool{}
	for _, match := range fluxConfigRow.FindAllStringSubmatch(page, -1) {
		for _, field := range allQuoted(match[1]) {
			if rows[field] {
				breaches = append(breaches, field+" has two rows")
			}
			rows[field] = true
		}
		for _, why := range unfounded(root, match[3]) {
			breaches = append(breaches, match[1]+": "+why)
		}
	}
	known := slices.Clone(ownFluxConfigFields)
	for line := range strings.Lines(contract) {
		azure, field, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		known = append(known, field)
		if !rows[field] {
			breaches = append(breaches, fmt.Sprintf("%s (%s) has no row", field, azure))
		}
	}
	for field := range rows {
		if !slices.Contains(known, field) {
			breaches = append(breaches, field+" is no field of the contract")
		}
	}
	slices.Sort(breaches)
	return breaches
}

// TestUntestedFluxConfig tries the rules on small pages.
func TestUntestedFluxConfig(t *testing.T) {
	t.Parallel()
	root := fstest.MapFS{"testdata/scenario/a.txtar": {}}
	const contract = "# what\nscope\tspec.scope\nsuspend\tspec.suspend\n"
	const both = "| `spec.scope`, `spec.suspend` | rights | `a.txtar` |\n"
	for name, tc := range map[string]struct{ page, want string }{
		"all there":        {both, ""},
		"no row":           {"| `spec.scope` | rights | `a.txtar` |\n", "spec.suspend (suspend) has no row"},
		"two rows":         {both + "| `spec.scope` | rights | `a.txtar` |\n", "spec.scope has two rows"},
		"no such field":    {both + "| `spec.none` | nothing | `a.txtar` |\n", "spec.none is no field"},
		"no such script":   {"| `spec.scope`, `spec.suspend` | rights | `b.txtar` |\n", "no script b.txtar"},
		"nothing shows it": {"| `spec.scope`, `spec.suspend` | rights | it is plain |\n", "nothing shows it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(untestedFluxConfig(root, tc.page, contract), "\n")
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
