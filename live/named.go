package live

import (
	"context"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// named is the watch of one object by name.
type named struct {
	view    *View
	key     kube.Key
	watcher *watcher
	stop    func()
	users   map[User]bool
	object  *unstructured.Unstructured // nil when there is none
}

// Follow says that a user needs exactly these objects, by name. They are kept
// whole, since what follows a Secret needs its content.
func (v *View) Follow(user User, keys ...kube.Key) error {
	wanted := make(map[kube.Key]bool, len(keys))
	for _, key := range keys {
		wanted[key] = true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for key, n := range v.named {
		if wanted[key] || !n.users[user] {
			continue
		}
		if delete(n.users, user); len(n.users) == 0 {
			n.stop()
			delete(v.named, key)
		}
	}
	for key := range wanted {
		n, err := v.namedLocked(key)
		if err != nil {
			return err
		}
		n.users[user] = true
	}
	return nil
}

// FollowToo says that a user needs one more object, by name, beside those that it
// needs already: nothing is given up before it is known what is not needed any more.
func (v *View) FollowToo(user User, key kube.Key) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, err := v.namedLocked(key)
	if err != nil {
		return err
	}
	n.users[user] = true
	return nil
}

func (v *View) namedLocked(key kube.Key) (*named, error) {
	if n, ok := v.named[key]; ok {
		return n, nil
	}
	resource, err := v.cluster.Resource(key.GVK(), key.Namespace)
	if err != nil {
		return nil, err
	}
	n := &named{view: v, key: key, users: map[User]bool{}}
	byName := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", key.Name).String()}
	n.watcher = newWatcher(resource, byName, n, n.drop)
	n.stop = v.spawn(n.watcher.run)
	v.named[key] = n
	return n, nil
}

// Object returns a followed object, or nil when there is none by that name. It
// waits for the first answer of a new watch and fails when that is refused.
func (v *View) Object(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	v.mu.Lock()
	n, ok := v.named[key]
	v.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s is not followed", key)
	}
	if err := n.watcher.wait(ctx); err != nil {
		return nil, fmt.Errorf("watch %s: %w", key, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return n.object, nil
}

// Refresh reads a followed object anew, for who was told by another watch of what was
// written after it: there is no order between two watches.
func (v *View) Refresh(ctx context.Context, key kube.Key) error {
	v.mu.Lock()
	n, ok := v.named[key]
	v.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s is not followed", key)
	}
	obj, err := v.cluster.Get(ctx, key)
	switch {
	case apierrors.IsNotFound(err): // the watch says so
		return nil
	case err != nil:
		return err
	}
	n.change(obj, obj.GetResourceVersion(), true)
	return nil
}

// Followers are the users of a named object.
func (v *View) Followers(key kube.Key) []User {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, ok := v.named[key]
	if !ok {
		return nil
	}
	users := make([]User, 0, len(n.users))
	for user := range n.users {
		users = append(users, user)
	}
	return users
}

// put implements sink.
func (n *named) put(obj *unstructured.Unstructured) { n.set(obj, obj.GetResourceVersion()) }

// remove implements sink.
func (n *named) remove(obj *unstructured.Unstructured) { n.set(nil, obj.GetResourceVersion()) }

// replace implements sink.
func (n *named) replace(objs []*unstructured.Unstructured, resourceVersion string) {
	if len(objs) == 0 {
		n.set(nil, resourceVersion)
		return
	}
	n.put(objs[0])
}

func (n *named) set(obj *unstructured.Unstructured, resourceVersion string) {
	n.change(obj, resourceVersion, false)
}

// change puts an object in the place of an older one. What was read beside the watch
// takes no empty place: the watch may have seen it go since.
func (n *named) change(obj *unstructured.Unstructured, resourceVersion string, beside bool) {
	n.view.mu.Lock()
	old := n.object
	if old == nil && beside || old != nil && Older(resourceVersion, old.GetResourceVersion()) {
		n.view.mu.Unlock()
		return
	}
	n.object = obj
	n.view.mu.Unlock()
	if change, ok := between(old, obj); ok {
		n.view.tell(change)
	}
}

// reduceNamed makes the record of an object that is followed by name, with
// whichever owner it has.
func reduceNamed(obj *unstructured.Unstructured) Record {
	for _, kind := range ownerKinds {
		if Owner(kind, obj) != (User{}) {
			return Reduce(kind, obj)
		}
	}
	return Reduce(kustomizev1.KustomizationKind, obj)
}

func between(old, obj *unstructured.Unstructured) (c Change, ok bool) {
	if old != nil {
		r := reduceNamed(old)
		c.Old = &r
	}
	if obj != nil {
		r := reduceNamed(obj)
		c.New = &r
	}
	if c.Old != nil && c.New != nil { // who follows it may judge its status by expressions of their own
		return c, c.Old.Content != c.New.Content || !alike(*c.Old, *c.New) || !reflect.DeepEqual(old.Object["status"], obj.Object["status"])
	}
	return c, c.Old != nil || c.New != nil
}

// drop ends the watch of an object whose kind is not served any more.
func (n *named) drop() {
	n.view.mu.Lock()
	n.stop()
	if n.view.named[n.key] == n { // and not a watch that came after it
		delete(n.view.named, n.key)
	}
	n.view.mu.Unlock()
	n.set(nil, "")
}
