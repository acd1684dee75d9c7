package cli

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/internal/kube"
)

const (
	configA = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: apps}\n"
	configB = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"
	configC = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}`
)

// write makes a folder with these files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadManifests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		paths []string // in the folder; "-" is standard input
		in    string
		want  []string
	}{
		{name: "no paths"},
		{name: "a file", files: map[string]string{"a.yaml": configA}, paths: []string{"a.yaml"}, want: []string{"ConfigMap/apps/a"}},
		{name: "a file of several documents, empty ones among them", files: map[string]string{"all.yaml": "---\n" + configA + "---\n# nothing\n---\n\n---\n" + configB}, paths: []string{"all.yaml"}, want: []string{"ConfigMap/apps/a", "ConfigMap/b"}},
		{name: "an empty file", files: map[string]string{"a.yaml": ""}, paths: []string{"a.yaml"}},
		{name: "a folder with folders, in the order of names", files: map[string]string{"b.yml": configB, "a/c.json": configC, "z/a.YAML": configA}, paths: []string{"."}, want: []string{"ConfigMap/c", "ConfigMap/b", "ConfigMap/apps/a"}},
		{name: "other files of a folder are passed over", files: map[string]string{"a.yaml": configA, "README.md": "# no: [yaml", "run.sh": "exit 1"}, paths: []string{"."}, want: []string{"ConfigMap/apps/a"}},
		{name: "a file given by name may be called anything", files: map[string]string{"manifests.txt": configA}, paths: []string{"manifests.txt"}, want: []string{"ConfigMap/apps/a"}},
		{name: "standard input", paths: []string{"-"}, in: configB + "---\n" + configA, want: []string{"ConfigMap/b", "ConfigMap/apps/a"}},
		{name: "JSON on standard input", paths: []string{"-"}, in: configC, want: []string{"ConfigMap/c"}},
		{name: "several paths, in the order given", files: map[string]string{"a.yaml": configA, "b.yaml": configB}, paths: []string{"b.yaml", "-", "a.yaml"}, in: configC, want: []string{"ConfigMap/b", "ConfigMap/c", "ConfigMap/apps/a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			objs, err := readManifests(inFolder(write(t, test.files), test.paths), strings.NewReader(test.in))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, obj := range objs {
				got = append(got, kube.KeyOf(obj).String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("objects are %v, want %v", got, test.want)
			}
		})
	}
}

func inFolder(dir string, names []string) []string {
	var paths []string
	for _, name := range names {
		if name != "-" {
			name = filepath.Join(dir, name)
		}
		paths = append(paths, name)
	}
	return paths
}

func TestReadManifestsRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		path  string
		in    string
		want  []string // what the error says
		cause error
	}{
		{name: "a file that is missing", path: "no.yaml", want: []string{"no.yaml"}, cause: fs.ErrNotExist},
		{name: "a file that is no YAML", files: map[string]string{"a.yaml": "a: [1"}, path: "a.yaml", want: []string{"a.yaml: "}},
		{name: "a list instead of an object", files: map[string]string{"a.yaml": "- a\n- b\n"}, path: "a.yaml", want: []string{"a.yaml: "}},
		{name: "an object without kind", files: map[string]string{"a.yaml": "metadata: {name: a}\n"}, path: "a.yaml", want: []string{"a.yaml: ", "kind"}},
		{name: "an object without name", files: map[string]string{"a.yaml": "kind: ConfigMap\n"}, path: "a.yaml", want: []string{"a.yaml: ", "metadata.name"}},
		{name: "the second document of a file deep in a folder", files: map[string]string{"a.yaml": configA, "b/c.yaml": configB + "---\nkind: ConfigMap\n"}, path: ".", want: []string{filepath.Join("b", "c.yaml") + ": "}},
		{name: "standard input that is no object", path: "-", in: "kind: ConfigMap\n", want: []string{"standard input: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			objs, err := readManifests(inFolder(write(t, test.files), []string{test.path}), strings.NewReader(test.in))
			if err == nil {
				t.Fatalf("read %d objects, want an error", len(objs))
			}
			if code := exitCode(t.Context(), err); code != exitUsage {
				t.Errorf("exit code is %d, want %d", code, exitUsage)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("error is %v, want %v", err, test.cause)
			}
		})
	}
}

func TestPlainKeepsWhatTheServerSaysOfUnknownFields(t *testing.T) {
	t.Parallel()
	said := `.spec.bogus: field not declared in schema`
	other := apierrors.NewConflict(metav1.SchemeGroupVersion.WithResource("x").GroupResource(), "a", errBroken)
	bad := &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: said}}
	if got := plain(bad); got.Error() != said {
		t.Errorf("error is %q, want %q", got, said)
	}
	if got := plain(other); !errors.Is(got, other) {
		t.Errorf("error is %v, want %v as it was", got, other)
	}
	if got := plain(errBroken); !errors.Is(got, errBroken) {
		t.Errorf("error is %v, want %v as it was", got, errBroken)
	}
}
