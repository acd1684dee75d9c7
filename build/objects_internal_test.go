package build

import (
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
)

// byText is the long way: from nodes to text, to JSON, to an object.
func byText(content string) (*unstructured.Unstructured, error) {
	nodes, err := kio.FromBytes([]byte(content))
	if err != nil || len(nodes) != 1 {
		return nil, err
	}
	json, err := nodes[0].MarshalJSON()
	if err != nil {
		return nil, err
	}
	obj := &unstructured.Unstructured{}
	return obj, obj.UnmarshalJSON(json)
}

func direct(content string) (*unstructured.Unstructured, error) {
	nodes, err := kio.FromBytes([]byte(content))
	if err != nil || len(nodes) != 1 {
		return nil, err
	}
	return object(nodes[0].YNode())
}

const head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nvalue: "

var values = []string{
	"text", "'1'", `"\u00e4\n"`, "1", "-1", "0", "0x1F", "0o17", "017", "1_000", "1e3", "1.5", "-0.0", ".5", "1e400", "1e21", "1.0",
	"9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775808", "123456789012345678901234567890",
	"true", "yes", "on", "~", "null", "", "2026-01-02", "2026-01-02T10:00:00Z", "2026-01-02t10:00:00.5+02:00", "1:30", "!!str 5", "!!int '7'", "!!float 3",
	"!!binary aGVsbG8=", "!custom x", "[1, [2], {a: b}]", "{a: {b: [c]}}", "[]", "{}", "|\n  lines\n  of text\n", ">-\n  folded\n  text\n", "'<<'", "=", "072070000000801000", "{A}", "[{a: , b: ~}, ]", "{a: [ '' ]}",
}

func TestConversionIsThatOfKustomize(t *testing.T) {
	t.Parallel()
	for _, text := range values {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			want, err := byText(head + text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := direct(head + text)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %#v, want %#v", got.Object["value"], want.Object["value"])
			}
		})
	}
}

func FuzzConversion(f *testing.F) {
	for _, text := range values {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkAliases([]byte(head+text), maxEmbedded) != nil {
			return
		}
		want, err := byText(head + text)
		if err != nil || want == nil {
			return
		}
		got, err := direct(head + text)
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, want %#v", text, got, want)
		}
	})
}

// TestFieldsOfKustomizationsAreKnown: a field that a later kustomize adds may be
// one more way to refer to something remote; references has to know it.
func TestFieldsOfKustomizationsAreKnown(t *testing.T) {
	t.Parallel()
	known := []string{
		"TypeMeta", "MetaData", "OpenAPI", "NamePrefix", "NameSuffix", "Namespace", "CommonLabels", "Labels", "CommonAnnotations",
		"PatchesStrategicMerge", "PatchesJson6902", "Patches", "Images", "ImageTags", "Replacements", "Replicas", "Vars", "SortOptions",
		"Resources", "Components", "Crds", "Bases", "ConfigMapGenerator", "SecretGenerator", "HelmGlobals", "HelmCharts",
		"HelmChartInflationGenerator", "GeneratorOptions", "Configurations", "Generators", "Transformers", "Validators", "BuildMetadata",
	}
	kustomization := reflect.TypeFor[types.Kustomization]()
	for field := range kustomization.Fields() {
		if name := field.Name; !slices.Contains(known, name) {
			t.Errorf("the field %s is new: if it is a path, add it to references; add it here", name)
		}
	}
}
