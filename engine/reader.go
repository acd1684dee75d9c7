package engine

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

// reader reads the objects that a spec names. They are followed by name, so that
// reading them again makes no request and a change wakes the user.
type reader struct {
	view View
	user live.User
	keys []kube.Key
}

// missing says that an object which a spec names is not there.
type missing struct{ key kube.Key }

func (m *missing) Error() string { return m.key.String() + " not found" }

// object reads one object, nil when there is none. What earlier passes read stays
// followed until done: a watch that ends and begins anew takes a second to answer.
func (r *reader) object(ctx context.Context, key kube.Key) (*unstructured.Unstructured, error) {
	if err := r.follow(key); err != nil {
		return nil, err
	}
	return r.view.Object(ctx, key)
}

// follow begins to follow an object that will be read.
func (r *reader) follow(key kube.Key) error {
	r.keys = append(r.keys, key)
	return r.view.FollowToo(r.user, key)
}

// anew has the next read of an object see all that was written before now.
func (r *reader) anew(ctx context.Context, key kube.Key) error {
	if err := r.follow(key); err != nil {
		return err
	}
	return r.view.Refresh(ctx, key)
}

// data reads the data of a Secret or a ConfigMap; *missing when it is not there.
func (r *reader) data(ctx context.Context, kind, namespace, name string) (map[string][]byte, error) {
	key := coreKey(kind, namespace, name)
	found, err := r.object(ctx, key)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, &missing{key}
	case kind == configMapKind:
		return configMapData(found)
	default:
		return secretData(found)
	}
}

// done ends following what was not read this time.
func (r *reader) done() error { return r.view.Follow(r.user, r.keys...) }

// The kinds that specs name for their data.
const (
	secretKind         = "Secret"
	configMapKind      = "ConfigMap"
	serviceAccountKind = "ServiceAccount"
)

// coreKey names an object of the core group.
func coreKey(kind, namespace, name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: schema.GroupKind{Kind: kind}}, Version: "v1"}
}

func secretData(obj *unstructured.Unstructured) (map[string][]byte, error) {
	secret := struct {
		Data map[string][]byte `json:"data"`
	}{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &secret); err != nil {
		return nil, fmt.Errorf("Secret/%s/%s cannot be read", obj.GetNamespace(), obj.GetName())
	}
	return secret.Data, nil
}

func configMapData(obj *unstructured.Unstructured) (map[string][]byte, error) {
	configMap := struct {
		Data       map[string]string `json:"data"`
		BinaryData map[string][]byte `json:"binaryData"`
	}{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &configMap); err != nil {
		return nil, fmt.Errorf("ConfigMap/%s/%s cannot be read", obj.GetNamespace(), obj.GetName())
	}
	out := configMap.BinaryData
	if out == nil {
		out = make(map[string][]byte, len(configMap.Data))
	}
	for key, value := range configMap.Data {
		out[key] = []byte(value)
	}
	return out, nil
}
