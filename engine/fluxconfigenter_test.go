package engine

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// TestConfigsOfANamespaceTakeTurns: those of others go on meanwhile, and whoever came in
// between is woken, once.
func TestConfigsOfANamespaceTakeTurns(t *testing.T) {
	t.Parallel()
	u := newConfigUnits()
	queue := priorityqueue.New[reconcile.Request]("configs")
	t.Cleanup(queue.ShutDown)
	u.alarm.queue = queue
	name := func(namespace, name string) types.NamespacedName {
		return types.NamespacedName{Namespace: namespace, Name: name}
	}
	leave, free := u.enter(name("a", "one"))
	if !free {
		t.Fatal("a namespace that nobody is at work in is taken")
	}
	for range 2 {
		if _, free := u.enter(name("a", "two")); free {
			t.Fatal("two are at work in one namespace")
		}
	}
	if leave, free := u.enter(name("b", "one")); !free {
		t.Error("another namespace is taken")
	} else {
		leave()
	}
	if n := queue.Len(); n != 0 {
		t.Errorf("%d are woken too early", n)
	}
	leave()
	if n := queue.Len(); n != 1 {
		t.Errorf("%d are woken, want one", n)
	}
	if _, free := u.enter(name("a", "two")); !free {
		t.Error("the namespace is still taken")
	}
}
