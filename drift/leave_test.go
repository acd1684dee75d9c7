package drift

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func notOurs(e metav1.ManagedFieldsEntry) bool { return e.Manager != ours }

func pointers(t testing.TB, texts ...string) []Path {
	t.Helper()
	out := make([]Path, len(texts))
	for i, text := range texts {
		path, err := ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = path
	}
	return out
}

// shared is an object of which a manager "other" owns what theirs says.
func shared(t testing.TB, content, owned, theirs string) *unstructured.Unstructured {
	t.Helper()
	obj := manage(t, content, owned)
	if theirs == "" {
		return obj
	}
	var f map[string]any
	if err := json.Unmarshal([]byte(theirs), &f); err != nil {
		t.Fatal(err)
	}
	entries := append(obj.Object["metadata"].(map[string]any)["managedFields"].([]any),
		map[string]any{"manager": "other", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": f})
	set(t, obj, entries, "metadata", "managedFields")
	return obj
}

func TestLeave(t *testing.T) {
	t.Parallel()
	const containers = `"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{}}`
	for name, c := range map[string]struct {
		wanted, live  string // fields beside the identity
		owned, theirs string
		paths         []string
		want          string
	}{
		"another's field is stripped": {wanted: `"spec":{"replicas":2,"x":1}`, live: `"spec":{"replicas":5,"x":1}`,
			owned: `{"f:spec":{"f:x":{}}}`, theirs: `{"f:spec":{"f:replicas":{}}}`, paths: []string{"/spec/replicas"}, want: `"spec":{"x":1}`},
		"a field that is shared is stripped": {wanted: `"spec":{"replicas":5,"x":1}`, live: `"spec":{"replicas":5,"x":1}`,
			owned: `{"f:spec":{"f:replicas":{},"f:x":{}}}`, theirs: `{"f:spec":{"f:replicas":{}}}`, paths: []string{"/spec/replicas"}, want: `"spec":{"x":1}`},
		"our own field is adopted": {wanted: `"spec":{"replicas":2}`, live: `"spec":{"replicas":5}`,
			owned: `{"f:spec":{"f:replicas":{}}}`, paths: []string{"/spec/replicas"}, want: `"spec":{"replicas":5}`},
		"nobody's field is adopted": {wanted: `"spec":{"replicas":2}`, live: `"spec":{"replicas":5}`,
			owned: `{}`, paths: []string{"/spec/replicas"}, want: `"spec":{"replicas":5}`},
		"a field that is gone stays so": {wanted: `"spec":{"replicas":2,"x":1}`, live: `"spec":{"x":1}`,
			owned: `{"f:spec":{"f:x":{}}}`, paths: []string{"/spec/replicas"}, want: `"spec":{"x":1}`},
		"a field that the source has not": {wanted: `"spec":{"x":1}`, live: `"spec":{"replicas":2,"x":1}`,
			owned: `{}`, paths: []string{"/spec/replicas"}, want: `"spec":{"x":1}`},
		"a map that is left empty goes": {wanted: `"spec":{"replicas":2}`, live: `"spec":{"replicas":5}`,
			owned: `{}`, theirs: `{"f:spec":{"f:replicas":{}}}`, paths: []string{"/spec/replicas"}, want: ``},
		"keys of a map are decided one by one": {wanted: `"data":{"a":"1","b":"1","c":"1"}`, live: `"data":{"a":"2","b":"2"}`,
			owned: `{"f:data":{"f:b":{}}}`, theirs: `{"f:data":{"f:a":{}}}`, paths: []string{"/data"}, want: `"data":{"b":"2"}`},
		"an atomic map is one value": {wanted: `"spec":{"selector":{"a":"1"}}`, live: `"spec":{"selector":{"a":"2","b":"2"}}`,
			owned: `{"f:spec":{"f:selector":{}}}`, paths: []string{"/spec/selector"}, want: `"spec":{"selector":{"a":"2","b":"2"}}`},
		"a part of an atomic map is adopted": {wanted: `"spec":{"selector":{"a":"1","b":"1"}}`, live: `"spec":{"selector":{"a":"2","b":"1"}}`,
			owned: `{}`, theirs: `{"f:spec":{"f:selector":{}}}`, paths: []string{"/spec/selector/a"}, want: `"spec":{"selector":{"a":"2","b":"1"}}`},
		"a field of an item, by its name": {wanted: `"spec":{"containers":[{"name":"web","image":"web:1"}]}`, live: `"spec":{"containers":[{"name":"proxy","image":"p"},{"name":"web","image":"web:2"}]}`,
			owned: `{"f:spec":{"f:containers":{` + containers + `}}}`, paths: []string{"/spec/containers/0/image"}, want: `"spec":{"containers":[{"name":"web","image":"web:2"}]}`},
		"an item that is new comes whole": {wanted: `"spec":{"containers":[{"name":"new","image":"new:1"}]}`, live: `"spec":{"containers":[{"name":"web","image":"web:2"}]}`,
			owned: `{"f:spec":{"f:containers":{` + containers + `}}}`, paths: []string{"/spec/containers/0/image"}, want: `"spec":{"containers":[{"name":"new","image":"new:1"}]}`},
		"items are decided one by one": {wanted: `"spec":{"containers":[{"name":"web","image":"web:1"},{"name":"proxy","image":"p:1"},{"name":"gone","image":"g"}]}`,
			live:  `"spec":{"containers":[{"name":"proxy","image":"p:2"},{"name":"web","image":"web:2"}]}`,
			owned: `{"f:spec":{"f:containers":{` + containers + `}}}`, theirs: `{"f:spec":{"f:containers":{"k:{\"name\":\"proxy\"}":{".":{},"f:name":{},"f:image":{}}}}}`,
			paths: []string{"/spec/containers"}, want: `"spec":{"containers":[{"name":"web","image":"web:2"}]}`},
		"values of a set are decided one by one": {wanted: `"spec":{"set":["a","b","c"]}`, live: `"spec":{"set":["b","a"]}`,
			owned: `{"f:spec":{"f:set":{"v:\"a\"":{}}}}`, theirs: `{"f:spec":{"f:set":{"v:\"b\"":{}}}}`, paths: []string{"/spec/set"}, want: `"spec":{"set":["a"]}`},
		"an atomic list is one value": {wanted: `"spec":{"args":["a"]}`, live: `"spec":{"args":["b","c"]}`,
			owned: `{"f:spec":{"f:args":{}}}`, paths: []string{"/spec/args"}, want: `"spec":{"args":["b","c"]}`},
		"keys with a slash": {wanted: `"metadata":{"annotations":{"a/b":"1","c":"1"}}`, live: `"metadata":{"annotations":{"a/b":"2","c":"1"}}`,
			owned: `{}`, theirs: `{"f:metadata":{"f:annotations":{"f:a/b":{}}}}`, paths: []string{"/metadata/annotations/a~1b"}, want: `"metadata":{"annotations":{"c":"1"}}`},
		"a path that leads through a value": {wanted: `"spec":{"replicas":2}`, live: `"spec":{"replicas":5}`, owned: `{}`, paths: []string{"/spec/replicas/x"}, want: `"spec":{"replicas":2}`},
		"an index beyond the list":          {wanted: `"spec":{"args":["a"]}`, live: `"spec":{"args":["b"]}`, owned: `{}`, paths: []string{"/spec/args/7"}, want: `"spec":{"args":["a"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			form := func(fields string) string {
				if strings.Contains(fields, `"metadata"`) {
					return `{"apiVersion":"v1","kind":"T",` + fields + `}`
				}
				return strings.Replace(`{"apiVersion":"v1","kind":"T","metadata":{},`+fields+`}`, ",}", "}", 1)
			}
			wanted, live := decode(t, form(c.wanted)), shared(t, form(c.live), c.owned, c.theirs)
			got := Leave(wanted, live, pointers(t, c.paths...), notOurs)
			if want := decode(t, form(c.want)); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if !reflect.DeepEqual(wanted, decode(t, form(c.wanted))) || !reflect.DeepEqual(live, shared(t, form(c.live), c.owned, c.theirs)) {
				t.Error("an argument was changed")
			}
		})
	}
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	for pointer, want := range map[string]string{
		"/spec/replicas":               "",
		"/metadata/annotations/a~1b~0": "",
		"/data/":                       "",
		"":                             `"" is not a JSON pointer`,
		"spec.replicas":                `"spec.replicas" is not a JSON pointer`,
		"/spec/\x00each":               "is not a JSON pointer",
		"/kind":                        `"/kind" is part of the object's identity`,
		"/metadata":                    "identity",
		"/metadata/name":               "identity",
	} {
		path, err := ParsePath(pointer)
		if want == "" && (err != nil || path.String() != pointer) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, %v", pointer, path, err)
		}
	}
}

func TestIgnores(t *testing.T) {
	t.Parallel()
	obj := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web-1","namespace":"shop","labels":{"app":"web"},"annotations":{"team":"till"}}}`
	for name, c := range map[string]struct {
		target *Selector
		want   bool
	}{
		"everything":               {nil, true},
		"empty selector":           {&Selector{}, true},
		"all fields":               {&Selector{"apps", "v1", "Deployment", "shop", "web-.*", "team=till", "app in (web)"}, true},
		"a part of the name":       {&Selector{Name: "web"}, false},
		"alternatives are grouped": {&Selector{Name: "x|web-1"}, true},
		"another group":            {&Selector{Group: "batch"}, false},
		"another version":          {&Selector{Version: "v2"}, false},
		"another kind":             {&Selector{Kind: "Stateful.*"}, false},
		"another namespace":        {&Selector{Namespace: "bank"}, false},
		"another label":            {&Selector{LabelSelector: "app=api"}, false},
		"another annotation":       {&Selector{AnnotationSelector: "team"}, true},
		"no such annotation":       {&Selector{AnnotationSelector: "!team"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ignores, err := CompileIgnores([]IgnoreRule{{Paths: []string{"/spec/replicas"}, Target: c.target}})
			if err != nil {
				t.Fatal(err)
			}
			if got := ignores.Paths(decode(t, obj)); (len(got) == 1) != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if got := (*Ignores)(nil).Paths(decode(t, obj)); got != nil {
		t.Errorf("no rules ignore %v", got)
	}
}

func TestCompileIgnoresNamesTheField(t *testing.T) {
	t.Parallel()
	_, err := CompileIgnores([]IgnoreRule{
		{Paths: []string{"/spec/replicas"}},
		{Paths: []string{"/spec/a", "spec.b"}},
		{Target: &Selector{Name: "("}},
		{Target: &Selector{LabelSelector: "a=b=c"}},
		{Target: &Selector{AnnotationSelector: "in in"}},
	})
	for _, want := range []string{"ignore[1].paths[1]: ", "ignore[2].target.name: ", "ignore[3].target.labelSelector: ", "ignore[4].target.annotationSelector: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
