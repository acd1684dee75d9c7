package archtest

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// configRow is a line of a table of three columns: what Azure's command line has,
// what it is here, and what shows that.
var configRow = regexp.MustCompile("(?m)^\\| (.*) \\| (.*) \\| (.*`.*) \\|$")

// TestCommandLineOfAzureHasTests: whoever looks for the test of a command, flag or
// key of Azure's command line finds it on docs/commands/config.md, and finds all of
// them.
func TestCommandLineOfAzureHasTests(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	page, err := fs.ReadFile(root, "docs/commands/config.md")
	if err != nil {
		t.Fatal(err)
	}
	list, err := fs.ReadFile(root, "testdata/contract/az-k8s-configuration-flux.tsv")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "\n## What has a counterpart\n")
	for _, breach := range unshown(root, tables, string(list)) {
		t.Error(breach)
	}
}

// unshown says which entries of a list a page has no row for, and which rows name
// no test or what is not in the list.
func unshown(root fs.FS, page, list string) (breaches []string) {
	var wanted []string
	for line := range strings.Lines(list) {
		if cells := strings.Split(strings.TrimSpace(line), "\t"); len(cells) > 1 {
			wanted = append(wanted, cells[1])
		}
	}
	counterparts, _, _ := strings.Cut(page, "\n## ")
	var have []string
	for _, row := range configRow.FindAllStringSubmatch(page, -1) {
		for _, why := range unfounded(root, row[3]) {
			breaches = append(breaches, row[1]+": "+why)
		}
	}
	for _, row := range configRow.FindAllStringSubmatch(counterparts, -1) {
		have = append(have, allQuoted(row[1])...)
	}
	for _, name := range wanted {
		if !slices.Contains(have, name) {
			breaches = append(breaches, name+" has no row")
		}
	}
	for _, name := range have {
		if !slices.Contains(wanted, name) {
			breaches = append(breaches, name+" is not in the list")
		}
	}
	return breaches
}

// TestUnshown tries the rule on small pages.
func TestUnshown(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	const shown = "`fluxconfig/flags TestExpand`"
	for name, tc := range map[string]struct{ page, want string }{
		"all there":           {"| `--a`, `b` | x | " + shown + " |\n", ""},
		"no row":              {"| `--a` | x | " + shown + " |\n", "b has no row"},
		"not in the list":     {"| `--a`, `b`, `c` | x | " + shown + " |\n", "c is not in the list"},
		"no such test":        {"| `--a`, `b` | x | `cli TestNone` |\n", "no test cli TestNone"},
		"another section":     {"| `--a`, `b` | x | " + shown + " |\n\n## More\n| `c` | x | " + shown + " |\n", ""},
		"no test there":       {"| `--a`, `b` | x | " + shown + " |\n\n## More\n| `c` | x | `cli TestNone` |\n", "no test cli TestNone"},
		"a row without tests": {"| `--a`, `b` | x | none |\n", "b has no row"},
	} {
		got := strings.Join(unshown(root, tc.page, "# list\nflag\t--a\t-a\nkey\tb\n"), "\n")
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
