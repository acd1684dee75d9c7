package helmrepo

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// found scans an index for a chart and writes down its versions.
func found(t testing.TB, index, chart string) ([]string, error) {
	t.Helper()
	var all []string
	err := scan(strings.NewReader(index), map[string]bool{chart: true}, func(name string, v version) {
		if name != chart {
			t.Errorf("%q was not asked for", name)
		}
		all = append(all, strings.Join(append([]string{v.Version, v.Digest}, v.URLs...), " "))
	})
	return all, err
}

const plainIndex = `apiVersion: v1
entries:
  # a comment
  first:
  - version: 0.1.0
    urls: [nowhere]
  app:
  - annotations:
      images: |
        - version: 9.9.9
      urls: |
          digest: no
    apiVersion: v2
    created: "2026-01-01T00:00:00Z"
    description: 'over
      two: lines'
    digest: abc
    name: app
    urls:
    - charts/app-1.0.0.tgz
    - https://mirror.example.com/app-1.0.0.tgz
    version: 1.0.0

  - version: "0.9"
    urls:
      - app-0.9.tgz
  last:
  - version: 2.0.0
    urls:
    - nowhere
generated: "2026-01-01T00:00:00Z"
`

var plainVersions = []string{"1.0.0 abc charts/app-1.0.0.tgz https://mirror.example.com/app-1.0.0.tgz", "0.9  app-0.9.tgz"}

func TestScanFindsTheVersionsOfAChart(t *testing.T) {
	t.Parallel()
	asJSON, err := yaml.YAMLToJSON([]byte(plainIndex))
	if err != nil {
		t.Fatal(err)
	}
	var any any
	if err := json.Unmarshal(asJSON, &any); err != nil {
		t.Fatal(err)
	}
	indented, err := json.MarshalIndent(any, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Replace(plainIndex, "over", strings.Repeat("x", 200_000), 1)
	for name, c := range map[string]struct {
		index string
		want  []string
	}{
		"block style":             {plainIndex, plainVersions},
		"JSON":                    {string(asJSON), plainVersions},
		"JSON over many lines":    {string(indented), plainVersions},
		"without a last newline":  {strings.TrimSuffix(plainIndex, "\n"), plainVersions},
		"lines end as on Windows": {strings.ReplaceAll(plainIndex, "\n", "\r\n"), plainVersions},
		"a document mark first":   {"---\n" + plainIndex, plainVersions},
		"a byte order mark":       {"\ufeff" + plainIndex, plainVersions},
		"a line of 200 kB":        {long, plainVersions},
		"dashes further in":       {"apiVersion: v1\nentries:\n    app:\n      - version: 1.0.0\n        urls: [a.tgz]\n", []string{"1.0.0  a.tgz"}},
		"quoted names":            {"apiVersion: v1\n\"entries\":\n  'app':\n  - \"version\": 1.0.0\n    'urls': [a.tgz]\n", []string{"1.0.0  a.tgz"}},
		"an entry in one line":    {"apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0, urls: [a.tgz]}\n", []string{"1.0.0  a.tgz"}},
		"dashes on their own":     {"apiVersion: v1\nentries:\n  app:\n  -\n    version: 1.0.0\n    urls:\n    - a.tgz\n", []string{"1.0.0  a.tgz"}},
		"a number as version":     {"apiVersion: v1\nentries:\n  app:\n  - version: 1.5\n", []string{"1.5 "}},
		"a tab in a text":         {"apiVersion: v1\nnote: |\n  a\n  \tb\nentries:\n  other:\n  - description: |\n      a\n      \tb\n  app:\n  - description: |\n      a\n      \tb\n    version: 1.0.0\n    urls: [a.tgz]\n", []string{"1.0.0  a.tgz"}},
		"no entries":              {"apiVersion: v1\nentries: {}\n", nil},
		"entries that are null":   {"apiVersion: v1\nentries: # none\n", nil},
		"no versions":             {"apiVersion: v1\nentries:\n  app: []\n", nil},
		"no entries in JSON":      {`{"apiVersion":"v1","entries":null}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := found(t, c.index, "app")
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v, %s", err, diff)
			}
		})
	}
}

func TestScanNamesLineAndChartOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	head := "apiVersion: v1\nentries:\n  app:\n"
	for name, c := range map[string]struct{ index, want string }{
		"a web page":            {"<!DOCTYPE html>\n<html>\n", "line 1: this is not the index"},
		"nothing":               {"", "no apiVersion"},
		"no apiVersion":         {"entries: {}\n", "no apiVersion"},
		"invalid YAML":          {head + "  - version: 1.0.0\n  - version: \"1\n", `line 5: chart "app": the entry is not valid YAML`},
		"a tab":                 {head + "\t- version: 1.0.0\n", `line 4: chart "app": indented with a tab`},
		"a tab before a chart":  {"apiVersion: v1\nentries:\n  \tapp:\n", "line 3: indented with a tab"},
		"a tab after spaces":    {head + "  - version: 1.0.0\n  \turls: []\n", `line 5: chart "app": indented with a tab`},
		"no list":               {head + "    version: 1.0.0\n", `line 4: chart "app": this should be a list`},
		"a list in one line":    {"apiVersion: v1\nentries:\n  app: [{version: 1.0.0}]\n", `line 3: chart "app": write one version below`},
		"charts in one line":    {"apiVersion: v1\nentries: {app: []}\n", "line 2: entries: write one chart below"},
		"not indented alike":    {"apiVersion: v1\nentries:\n    app:\n  other:\n", `line 4: chart "app": not indented like`},
		"urls that are no list": {head + "  - version: 1.0.0\n    urls: {a: b}\n", `line 4: chart "app": the entry`},
		"an entry of 5 MB":      {head + "  - version: 1.0.0\n    urls:\n" + strings.Repeat("    - aaaaaaaaaaaaaaaa\n", 250_000), `chart "app": the entry has more than`},
		"JSON that ends":        {"{\"apiVersion\":\"v1\",\n\"entries\":{\"app\":[{", `line 2: chart "app":`},
		"JSON without a list":   {"{\"apiVersion\":\"v1\",\n\"entries\":{\"app\":{}}}", `line 2: chart "app": this should be a list`},
		"a large JSON value":    {`{"apiVersion":"` + strings.Repeat("x", 9<<20) + `"}`, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := found(t, c.index, "app"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// FuzzScan looks for input that makes the parser panic, hang or say more than is there.
func FuzzScan(f *testing.F) {
	f.Add(plainIndex)
	f.Add("apiVersion: v1\nentries:\n  app:\n  -\n    version: 1.0.0\n")
	f.Add(`{"apiVersion":"v1","entries":{"app":[{"version":"1.0.0","urls":["a"]}]}}`)
	f.Add("apiVersion: v1\nentries:\n  app:\n  - {version: 1.0.0}\n  - &a [\n")
	f.Add("apiVersion: v1\nentries:\n  app:\n  - version: 1.0.0\n    zz: 'a\u2028'\nzzz: 'b\u2028\u2029'\n")
	f.Add("\ufeff---\n\"apiVersion\": v1\r\nentries:\r\n  'app': # none\r\n")
	f.Fuzz(func(t *testing.T, index string) {
		all, err := found(t, index, "app")
		if err == nil && len(all) > strings.Count(index, "-")+strings.Count(index, "{")+strings.Count(index, "null") {
			t.Errorf("%d versions out of %q", len(all), index)
		}
	})
}

// TestScanFindsWhatIsWritten: no text in an entry leads the parser astray.
func TestScanFindsWhatIsWritten(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"1.0.0", "charts/app-1.0.0.tgz", "plain"},
		{"1.0.0+build", "https://example.com/a?b=c#d", "two\n  lines # and\n\n- more: 'of' \"it\"\n"},
		{"- 1", "{a}", "\n\ttab\n \n  app:\n  - version: 2\n"},
		{"", "#", "entries:\nversion: 3.0.0\r\n\u2028\u00a0"},
		{"", "0", "\n0\u2028"},
		{"", "0", "\n\u2028"},
		{"1.0.0", "a", "ends in a break\u2028"},
		{"1.0.0", "a", "- \u2029\u2028"},
		{"1.0.0", "a\u2028", "\u2028"},
	} {
		version, address, text := c[0], c[1], c[2]
		entry := map[string]any{"annotations": map[string]string{text: text}, "description": text, "version": version, "urls": []string{address}, "zz": text}
		index := map[string]any{"apiVersion": "v1", "entries": map[string]any{"aaa": []any{entry}, "app": []any{entry, entry}, "zzz": []any{entry}}, "zzz": text}
		for _, encode := range []func(any) ([]byte, error){yaml.Marshal, json.Marshal} {
			content, err := encode(index)
			if err != nil {
				t.Fatal(err)
			}
			got, err := found(t, string(content), "app")
			one := version + "  " + address
			if diff := cmp.Diff([]string{one, one}, got); err != nil || diff != "" {
				t.Errorf("%v, %s\nin\n%s", err, diff, content)
			}
		}
	}
}
