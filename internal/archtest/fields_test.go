package archtest

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sourceKinds are the kinds on docs/sources.md, with their files of the contract.
var sourceKinds = map[string]string{
	"GitRepository": "gitrepositories", "Bucket": "buckets", "OCIRepository": "ocirepositories",
	"HelmRepository": "helmrepositories", "HelmChart": "helmcharts", "ExternalArtifact": "externalartifacts",
}

// ownFields are those that the contract lacks.
var ownFields = []string{"HelmRepository spec.keyringSecretRef.name"}

// shared is the section for the kinds whose status Plumb writes.
const shared = "In the status of all"

// TestFieldsOfSourcesHaveTests: whoever looks for the test of a field finds it on
// docs/sources.md, and finds all of them.
func TestFieldsOfSourcesHaveTests(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	page, err := fs.ReadFile(root, "docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	contract := map[string]string{}
	for kind, plural := range sourceKinds {
		text, err := fs.ReadFile(root, "testdata/contract/"+plural+".source.toolkit.fluxcd.io_v1.tsv")
		if err != nil {
			t.Fatal(err)
		}
		contract[kind] = string(text)
	}
	for _, breach := range untested(root, string(page), contract) {
		t.Error(breach)
	}
}

// fieldRow is a line of a table: the fields, and what shows them.
var fieldRow = regexp.MustCompile("(?m)^\\| (`(?:spec|status)\\..*`) \\| (.*) \\|$")

// quoted is what stands between backticks.
var quoted = regexp.MustCompile("`([^`]+)`")

func allQuoted(text string) (all []string) {
	for _, match := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// untested says which fields of the contract, by kind, a page has no row for, and
// which of its rows name what is not there.
func untested(root fs.FS, page string, contract map[string]string) (breaches []string) {
	rows := map[string]bool{} // Kind and field
	for section := range strings.SplitSeq(page, "\n## ") {
		kind, _, _ := strings.Cut(section, "\n")
		for _, match := range fieldRow.FindAllStringSubmatch(section, -1) {
			for _, field := range allQuoted(match[1]) {
				if rows[kind+" "+field] {
					breaches = append(breaches, fmt.Sprintf("%s: %s has two rows", kind, field))
				}
				rows[kind+" "+field] = true
			}
			for _, why := range unfounded(root, match[2]) {
				breaches = append(breaches, fmt.Sprintf("%s: %s: %s", kind, match[1], why))
			}
		}
	}
	used := map[string]bool{}
	for _, kind := range slices.Sorted(maps.Keys(contract)) {
		for _, field := range leaves(contract[kind]) {
			switch {
			case rows[kind+" "+field]:
				used[kind+" "+field] = true
			case rows[shared+" "+field] && kind != "ExternalArtifact":
				used[shared+" "+field] = true
			default:
				breaches = append(breaches, fmt.Sprintf("%s: %s has no row", kind, field))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if !used[name] && !slices.Contains(ownFields, name) {
			breaches = append(breaches, name+" is no field of the contract")
		}
	}
	return breaches
}

// leaves are the fields of a file of the contract that have no fields themselves,
// without the marks of lists and maps.
func leaves(contract string) (fields []string) {
	unmarked := strings.NewReplacer("[]", "", "{}", "")
	seen := map[string]bool{}
	for line := range strings.Lines(contract) {
		field, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if field != "" && !strings.HasPrefix(field, "#") {
			seen[unmarked.Replace(field)] = true
		}
	}
	for field := range seen {
		parent := false
		for other := range seen {
			parent = parent || strings.HasPrefix(other, field+".")
		}
		if !parent {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}

// unfounded says which of the tests, cases and scripts in a text are not there.
func unfounded(root fs.FS, text string) (why []string) {
	found, code := 0, ""
	for _, name := range allQuoted(text) {
		pkg, test, isTest := strings.Cut(name, " Test")
		switch {
		case strings.HasPrefix(name, `"`):
			if !strings.Contains(code, name) {
				why = append(why, "no case "+name+" in the test before it")
			}
			continue
		case strings.HasSuffix(name, ".txtar"):
			if _, err := fs.Stat(root, "testdata/scenario/"+name); err != nil {
				why = append(why, "no script "+name)
			}
		case isTest:
			if code = codeOf(root, pkg, "Test"+test); code == "" {
				why = append(why, "no test "+name)
			}
		default:
			why = append(why, name+" is neither a test nor a script")
		}
		found++
	}
	if found == 0 {
		why = append(why, "nothing shows it")
	}
	return why
}

// codeOf is the text of a test function, "" if a package has none of that name.
func codeOf(root fs.FS, pkg, test string) string {
	files, _ := fs.Glob(root, path.Join(pkg, "*_test.go"))
	for _, name := range files {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		if _, after, ok := strings.Cut(string(text), "\nfunc "+test+"("); ok {
			body, _, _ := strings.Cut(after, "\n}\n")
			return body
		}
	}
	return ""
}

// TestUntested tries the rules on small pages.
func TestUntested(t *testing.T) {
	t.Parallel()
	root := fstest.MapFS{
		"fetch/a_test.go":             {Data: []byte("package fetch\n\nfunc TestA(t *testing.T) {\n\t\"one\"\n}\n\nfunc TestB(t *testing.T) {\n\t\"two\"\n}\n")},
		"testdata/scenario/oci.txtar": {},
	}
	contract := map[string]string{"Bucket": "# Bucket\nspec\tobject\nspec.list\tarray\nspec.list[]\tstring\nstatus\tobject\nstatus.url\tstring\n"}
	const list = "## Bucket\n| `spec.list` | `fetch TestA` |\n"
	const url = "| `status.url` | `oci.txtar` |\n"
	for name, tc := range map[string]struct{ page, want string }{
		"all there":                {list + url, ""},
		"what is shared":           {list + "\n## " + shared + "\n" + url, ""},
		"a case":                   {"## Bucket\n| `spec.list`, `status.url` | `fetch TestA` `\"one\"`, `oci.txtar` |\n", ""},
		"a field without a row":    {list, "Bucket: status.url has no row"},
		"a row in another section": {list + "\n## HelmChart\n" + url, "Bucket: status.url has no row"},
		"two rows":                 {list + url + url, "Bucket: status.url has two rows"},
		"no such field":            {list + url + "| `spec.none` | `fetch TestA` |\n", "Bucket spec.none is no field"},
		"nothing shows it":         {list + "| `status.url` | it is plain |\n", "nothing shows it"},
		"no such test":             {list + "| `status.url` | `fetch TestC` |\n", "no test fetch TestC"},
		"a test elsewhere":         {list + "| `status.url` | `engine TestA` |\n", "no test engine TestA"},
		"a case of another test":   {list + "| `status.url` | `fetch TestA` `\"two\"` |\n", `no case "two"`},
		"no such script":           {list + "| `status.url` | `none.txtar` |\n", "no script none.txtar"},
		"something else":           {list + "| `status.url` | `fetch` |\n", "fetch is neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(untested(root, "# Fields\n\n"+tc.page, contract), "\n")
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
