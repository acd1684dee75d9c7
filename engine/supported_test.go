package engine

import (
	"testing"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

func TestUsedNamesFieldsSorted(t *testing.T) {
	t.Parallel()
	if got, want := used(map[string]bool{"b": true, "c": false, "a": true}), "spec.a, spec.b"; got != want {
		t.Errorf("used is %q, want %q", got, want)
	}
	if got := used(map[string]bool{"a": false}); got != "" {
		t.Errorf("used is %q, want nothing", got)
	}
}

func TestPlainSpecsAreSupported(t *testing.T) {
	t.Parallel()
	ignore := "*.md"
	if err := supportedSource(sourcev1.GitRepositorySpec{URL: "https://git.example.com/repo.git", Provider: "generic", Ignore: &ignore}); err != nil {
		t.Errorf("error is %v", err)
	}
}

// TestWhatIsNotSupportedStalls uses a field of each kind that is far from being
// supported.
func TestWhatIsNotSupportedStalls(t *testing.T) {
	t.Parallel()
	if out := sourceOutcome(snapshotAt(rev1), supportedSource(sourcev1.GitRepositorySpec{RecurseSubmodules: true})); out.Next != Stall {
		t.Errorf("outcome is %+v, want one that stalls", out)
	}
}
