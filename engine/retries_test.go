package engine

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		failures int
		longest  time.Duration
		want     time.Duration
	}{
		{"first", 1, time.Hour, time.Second},
		{"second", 2, time.Hour, 2 * time.Second},
		{"tenth", 10, time.Hour, 512 * time.Second},
		{"never longer than the longest", 10, time.Minute, time.Minute},
		{"a longest that is shorter than the first", 1, 100 * time.Millisecond, 100 * time.Millisecond},
		{"the last that is doubled", 20, 1000 * time.Hour, 524288 * time.Second},
		{"more than can be counted", 1000, time.Hour, time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := backoff(test.failures, test.longest); got != test.want {
				t.Errorf("backoff is %v, want %v", got, test.want)
			}
		})
	}
}

func TestRetriesCountEachSourceByItself(t *testing.T) {
	t.Parallel()
	name := func(n string) sourceName {
		return sourceName{sourcev1.GitRepositoryKind, types.NamespacedName{Namespace: "apps", Name: n}}
	}
	r := newRetries()
	for n, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second} {
		if got := r.next(name("a"), 5*time.Second); got != want {
			t.Errorf("wait %d is %v, want %v", n+1, got, want)
		}
	}
	if got := r.next(name("b"), time.Minute); got != time.Second {
		t.Errorf("first wait of another source is %v, want a second", got)
	}
	r.forget(name("a"))
	if r.count(name("a")) != 0 || r.count(name("b")) != 1 {
		t.Errorf("counts are %d and %d, want 0 and 1", r.count(name("a")), r.count(name("b")))
	}
	if got := r.next(name("a"), time.Minute); got != time.Second {
		t.Errorf("first wait after success is %v, want a second", got)
	}
}

func TestJitterIsAtMostATenthMore(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 1, 9, 10, time.Second, time.Hour} {
		for range 100 {
			if got := jittered(d); got < d || got > d+d/10 {
				t.Fatalf("%v became %v", d, got)
			}
		}
	}
}
