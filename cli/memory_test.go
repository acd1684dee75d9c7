package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/plumb-gitops/plumb/internal/memory"
)

// recorded is a folder with the files of a cgroup that has so much of 1000 MiB in use.
func recorded(t *testing.T, used string) memory.Group {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1048576000\n", "sys/fs/cgroup/memory.current": used + "\n",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	group, err := memory.Find(root)
	if err != nil {
		t.Fatal(err)
	}
	return group
}

func TestTheMemoryWatchHasACodeOfItsOwn(t *testing.T) {
	t.Parallel()
	w := &memory.Watch{Options: memory.Options{Threshold: 95, Interval: time.Hour}, Group: recorded(t, "1000000000"), Log: logr.Discard()}
	if code := exitCode(t.Context(), watchMemory(t.Context(), w)); code != exitMemory {
		t.Errorf("the code is %d, want %d", code, exitMemory)
	}
	if err := watchMemory(t.Context(), nil); err != nil {
		t.Errorf("without a watch: %v", err)
	}
}

func TestMemoryFlagsAreChecked(t *testing.T) {
	t.Parallel()
	f := memoryFlags{Options: memory.Options{Threshold: 0, Interval: time.Second}}
	if _, _, err := f.guard(logr.Discard()); exitCode(t.Context(), err) != exitUsage {
		t.Errorf("got %v", err)
	}
}
