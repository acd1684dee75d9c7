package values

import (
	"encoding/json"
	"strings"
	"testing"
)

var merges = []struct {
	name   string
	parts  []Part
	inline string
	want   string // JSON
}{
	{"nothing", nil, "", `{}`},
	{"inline alone", nil, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
	{"a later part over an earlier one", []Part{{Data: []byte("a: {b: 1, c: 2}\nd: [1]")}, {Data: []byte("a: {b: 3}\nd: [2, 3]")}}, "", `{"a":{"b":3,"c":2},"d":[2,3]}`},
	{"inline over parts", []Part{{Data: []byte("a: {b: 1, c: 2}")}}, `{"a":{"b":9}}`, `{"a":{"b":9,"c":2}}`},
	{"an object over a scalar, and the other way round", []Part{{Data: []byte("a: 1\nb: {c: 1}")}}, `{"a":{"x":1},"b":2}`, `{"a":{"x":1},"b":2}`},
	{"null takes a default of the chart away", []Part{{Data: []byte("a: {b: 1}")}}, `{"a":null}`, `{"a":null}`},
	{"a path over everything", []Part{{Path: "a.b", Data: []byte("7")}, {Data: []byte("a: {b: 1, c: 2}")}}, `{"a":{"b":9}}`, `{"a":{"b":7,"c":2}}`},
	{"a path into a list", []Part{{Path: "hosts[1].name", Data: []byte("web")}}, `{"hosts":[{"name":"a"},{"name":"b"}]}`, `{"hosts":[{"name":"a"},{"name":"web"}]}`},
	{"a list at a path", []Part{{Path: "a", Data: []byte("{x,y}")}}, "", `{"a":["x","y"]}`},
	{"text in quotes stays text", []Part{{Path: "a", Data: []byte(`"1"`)}, {Path: "b", Data: []byte("'true'")}}, "", `{"a":"1","b":"true"}`},
	{"a literal", []Part{{Path: "a.b", Literal: true, Data: []byte("x=1,y=[2]\n")}}, "", `{"a":{"b":"x=1,y=[2]\n"}}`},
	{"an empty part", []Part{{Data: []byte("  \n")}, {Data: []byte("# only a comment\n")}}, `{"a":1}`, `{"a":1}`},
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for _, test := range merges {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Merge(test.parts, []byte(test.inline))
			if err != nil {
				t.Fatal(err)
			}
			if raw, _ := json.Marshal(got); string(raw) != test.want {
				t.Errorf("got %s, want %s", raw, test.want)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]Part{
		"no object":     {{From: "ConfigMap/apps/web", Key: "values.yaml", Data: []byte("- a list")}},
		"a broken path": {{From: "ConfigMap/apps/web", Key: "values.yaml", Path: "a[b]", Data: []byte("1")}},
	} {
		if _, err := Merge(parts, nil); err == nil || !strings.HasPrefix(err.Error(), "ConfigMap/apps/web: what its key values.yaml holds ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	secrets := []Part{
		{From: "Secret/apps/web", Key: "values.yaml", Secret: true, Data: []byte("hunter2")},
		{From: "Secret/apps/web", Key: "password", Secret: true, Path: "a[b]", Data: []byte("hunter2")},
	}
	for _, part := range secrets {
		if _, err := Merge([]Part{part}, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want an error without the secret", err)
		}
	}
}

// The digests are those in the toolkit's own documentation, and of empty input.
func TestDigest(t *testing.T) {
	t.Parallel()
	for inline, want := range map[string]string{
		``:                   "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		`{"replicaCount":2}`: "sha256:e15c415d62760896bd8bec192a44c5716dc224db9e0fc609b9ac14718f8f9e56",
	} {
		merged, err := Merge(nil, []byte(inline))
		if err != nil {
			t.Fatal(err)
		}
		if got := Digest(merged); got != want {
			t.Errorf("digest of %s: got %s, want %s", inline, got, want)
		}
	}
	one, _ := Merge(nil, []byte(`{"b":[{"y":1,"x":2}],"a":{"d":1,"c":2}}`))
	two, _ := Merge(nil, []byte(`{"a":{"c":2,"d":1},"b":[{"x":2,"y":1}]}`))
	if Digest(one) != Digest(two) {
		t.Error("the order of keys changes the digest")
	}
}
