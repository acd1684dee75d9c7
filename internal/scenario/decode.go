package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Decode reads YAML documents.
func Decode(tb testing.TB, manifests string) []*unstructured.Unstructured {
	tb.Helper()
	objs, err := decode(manifests)
	if err != nil {
		tb.Fatal(err)
	}
	return objs
}

func decode(manifests string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		obj := &unstructured.Unstructured{}
		err := decoder.Decode(&obj.Object)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if len(obj.Object) > 0 {
			out = append(out, obj)
		}
	}
}

// Stored is the first file below the engine's storage that holds a text, "" when
// none does.
func (w *World) Stored(text string) (found string) {
	w.tb.Helper()
	err := filepath.WalkDir(w.storage, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || found != "" {
			return err
		}
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte(text)) {
			found = path
		}
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return found
}

// Refresh has the test know kinds that were defined meanwhile.
func (w *World) Refresh() {
	w.tb.Helper()
	if err := w.ResetMapping(); err != nil {
		w.tb.Fatal(err)
	}
}

// Serving is where the engine, or the last one that was started, serves something: it
// waits until its log says so.
func (w *World) Serving(what string) (url string) {
	w.tb.Helper()
	w.Again("the engine serves "+what, func() bool {
		url = w.serving(what)
		return url != ""
	})
	return url
}

// serving is what Serving waits for, "" as long as the log does not say it.
func (w *World) serving(what string) (url string) {
	w.logMu.Lock()
	said := w.log.String()[w.begun:]
	w.logMu.Unlock()
	for line := range strings.Lines(said) {
		if _, address, ok := strings.Cut(line, "\"serving "+what+"\" address="); ok && strings.HasSuffix(address, "\n") {
			url = "http://" + strings.TrimSpace(address)
		}
	}
	return url
}

// User is whom the engine acts as, by which the audit log tells its requests.
func (w *World) User() string { return w.user }

// Says waits until the engine has logged a text. A log tells nobody of what comes.
func (w *World) Says(text string) {
	w.tb.Helper()
	w.Again(fmt.Sprintf("the engine has logged %q", text), func() bool { return strings.Contains(w.Log(), text) })
}

// Again waits until something is so of which nobody tells that it has become so: it is
// looked at again and again.
func (w *World) Again(what string, is func() bool) {
	w.tb.Helper()
	err := wait.PollUntilContextTimeout(w.tb.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		w.tb.Fatalf("waiting until %s: %v", what, err)
	}
}
