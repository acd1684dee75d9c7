package health_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/health"
)

// sample is one document of testdata: an object and what is to be said of it.
type sample struct {
	Name    string         `json:"name"`
	Want    health.Status  `json:"want"`
	Message string         `json:"message"` // "" leaves the words to the library
	Object  map[string]any `json:"object"`
}

func samples(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	var all []sample
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range bytes.SplitSeq(data, []byte("\n---\n")) {
			var s sample
			if err := yaml.UnmarshalStrict(doc, &s); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, doc)
			}
			all = append(all, s)
		}
	}
	return all
}

// object makes what a client would have decoded: whole numbers are int64.
func object(t testing.TB, content map[string]any) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, data)
}

func decode(t testing.TB, data []byte) *unstructured.Unstructured {
	t.Helper()
	json, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(json); err != nil {
		t.Fatal(err)
	}
	return obj
}

func TestOf(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			obj := object(t, s.Object)
			before := obj.DeepCopy()
			got := health.Of(obj)
			if got.Status != s.Want || (s.Message != "" && got.Message != s.Message) {
				t.Errorf("got  %s: %s\nwant %s: %s", got.Status, got.Message, s.Want, s.Message)
			}
			if got.Message == "" {
				t.Error("no message")
			}
			if again := health.Of(obj); again != got {
				t.Errorf("asked again: %v", again)
			}
			if string(marshal(t, obj)) != string(marshal(t, before)) {
				t.Error("the object was changed")
			}
		})
	}
}

func TestOfNothingIsNotFound(t *testing.T) {
	t.Parallel()
	if got := health.Of(nil); got != (health.Verdict{Status: health.NotFound, Message: "Resource not found"}) {
		t.Errorf("got %v", got)
	}
}

func marshal(t testing.TB, obj *unstructured.Unstructured) []byte {
	t.Helper()
	data, err := obj.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzOf: whatever a status holds, there is a verdict.
func FuzzOf(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(marshal(f, object(f, s.Object)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		obj := &unstructured.Unstructured{}
		if obj.UnmarshalJSON(data) != nil {
			return
		}
		if v := health.Of(obj); v.Status == "" {
			t.Errorf("no status for %s", data)
		}
	})
}
