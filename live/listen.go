package live

import "github.com/plumb-gitops/plumb/internal/kube"

// listener is told of the changes of some objects.
type listener struct{ hear func(Change) }

// Listen has hear called, outside of any lock, after each change of one of the
// objects that would be told to anybody, until stop is called. It is for those who
// wait for something in a goroutine of their own; it watches nothing by itself.
func (v *View) Listen(keys []kube.Key, hear func(Change)) (stop func()) {
	l := &listener{hear}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range keys {
		if v.listeners[key] == nil {
			v.listeners[key] = map[*listener]bool{}
		}
		v.listeners[key][l] = true
	}
	return func() { v.unlisten(l, keys) }
}

func (v *View) unlisten(l *listener, keys []kube.Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, key := range keys {
		if delete(v.listeners[key], l); len(v.listeners[key]) == 0 {
			delete(v.listeners, key)
		}
	}
}

// tell tells a change to whom it concerns.
func (v *View) tell(c Change) {
	v.notify(c)
	v.mu.Lock()
	var hear []func(Change)
	for l := range v.listeners[c.Record().Key] {
		hear = append(hear, l.hear)
	}
	v.mu.Unlock()
	for _, f := range hear {
		f(c)
	}
}
