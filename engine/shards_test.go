package engine

import (
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

func named(kind, name string) objectName {
	return objectName{kind, types.NamespacedName{Namespace: "apps", Name: name}}
}

// TestShare: a shard that is left lets passes end and none begin; when it comes back,
// everything of it is read anew.
func TestShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, web := newShare(&Shards{Count: 1}), named("Kustomization", "web")
		woken, stopped := make(chan objectName, 9), make(chan objectName, 9)
		s.wake = func(n objectName) { woken <- n }
		s.stop = func(n objectName) { stopped <- n }
		came := 0
		s.came = func() { came++ }
		if _, _, ours := s.enter(web, nil); ours {
			t.Fatal("it is ours before any shard is")
		}
		s.gained(0)
		if n := <-woken; n != web {
			t.Errorf("woken: %v", n)
		}
		done, fresh, ours := s.enter(web, nil)
		if !fresh || !ours {
			t.Fatalf("fresh %t, ours %t", fresh, ours)
		}
		beside := s.hold(web)
		left := make(chan struct{})
		go func() { s.lost(0); close(left) }()
		if n := <-stopped; n != web {
			t.Errorf("stopped: %v", n)
		}
		if _, _, ours := s.enter(web, nil); ours {
			t.Error("a pass begins while it is left")
		}
		done()
		synctest.Wait()
		select {
		case <-left:
			t.Error("it was left while a pass was under way")
		default:
		}
		beside()
		<-left
		s.gained(0)
		if _, fresh, ours = s.enter(web, nil); !fresh || !ours {
			t.Errorf("fresh %t, ours %t when it has come back", fresh, ours)
		}
		if _, fresh, ours = s.enter(web, nil); fresh || !ours {
			t.Errorf("fresh %t, ours %t the next time", fresh, ours)
		}
		if came != 2 {
			t.Errorf("that what others worked on is ours was told %d times, want 2", came)
		}
	})
}

func TestOurs(t *testing.T) {
	t.Parallel()
	only, err := labels.Parse("team=a")
	if err != nil {
		t.Fatal(err)
	}
	all := newShare(&Shards{Count: 4})
	one := all.shardOf(named("FluxConfig", "x"))
	if one != all.shardOf(named("FluxConfig", "y")) {
		t.Error("FluxConfigs of one namespace are in two shards")
	}
	for name, tc := range map[string]struct {
		share *share
		on    map[string]string
		want  bool
	}{
		"no shards at all":          {newShare(nil), nil, true},
		"labels that fit":           {newShare(&Shards{Only: only}), map[string]string{"team": "a"}, true},
		"labels that do not":        {newShare(&Shards{Only: only}), map[string]string{"team": "b"}, false},
		"no shard is held":          {all, nil, false},
		"labels that fit, no shard": {newShare(&Shards{Count: 2, Only: only}), map[string]string{"team": "a"}, false},
	} {
		if got := tc.share.ours(named("Kustomization", "web"), tc.on); got != tc.want {
			t.Errorf("%s: ours %t, want %t", name, got, tc.want)
		}
	}
}
