// Package storage keeps the records of Helm releases where Helm keeps them: in
// Secrets, in its encoding, so that the helm command line reads them and rolls
// back what we released.
//
// A Driver is for one pass over one release: it lists the records once and answers
// from memory what the SDK asks again and again. What it writes goes to the server
// first. That somebody else wrote in between shows as a conflict.
package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"github.com/plumb-gitops/plumb/helmrel"
	"github.com/plumb-gitops/plumb/internal/failpoint"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// finishing is how long the last write of an action may take after the action was
// ended from outside: a record that says pending would need another to unlock it.
const finishing = 30 * time.Second

// ErrOvertaken says that somebody else changed or deleted a record since it was read.
var ErrOvertaken = errors.New("somebody else changed it meanwhile")

// Selector and FieldSelector select the records among all Secrets.
const (
	Selector      = "owner=helm"
	FieldSelector = "type=helm.sh/release.v1"
)

// manager is whose fields records are that we write: the toolkit's.
const manager = "helm-controller"

// Driver implements the SDK's driver.Driver for one release.
type Driver struct {
	// Method is how new records say that their objects were applied, helmrel.ServerSide
	// or helmrel.ClientSide.
	Method string
	// Finish, when set, has the last word on a new record before it is first stored:
	// an error in it ends the action before anything was written.
	Finish func(*release.Release) error

	ctx     context.Context
	client  dynamic.ResourceInterface
	secrets map[string]*corev1.Secret
}

var _ driver.Driver = (*Driver)(nil)

// Open lists the records of a release in the namespace of its records.
func Open(ctx context.Context, cluster *kube.Cluster, t helmrel.Target) (*Driver, error) {
	client, err := cluster.Resource(corev1.SchemeGroupVersion.WithKind("Secret"), t.StorageNamespace)
	if err != nil {
		return nil, err
	}
	selector := labels.SelectorFromSet(labels.Set{"name": t.Name, "owner": "helm"}).String()
	list, err := client.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("records of release %s in namespace %s: %w", t.Name, t.StorageNamespace, err)
	}
	d := &Driver{Method: helmrel.ServerSide, ctx: ctx, client: client, secrets: map[string]*corev1.Secret{}}
	for _, item := range list.Items {
		if err := d.keep(&item); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Records are the records, the newest first.
func (d *Driver) Records() ([]helmrel.Record, error) {
	var out []helmrel.Record
	for _, secret := range d.secrets {
		rel, extra, err := decode(secret)
		if err != nil {
			return nil, err
		}
		record := helmrel.NewRecord(rel, extra.method())
		record.Others = others(secret)
		out = append(out, record)
	}
	slices.SortFunc(out, func(a, b helmrel.Record) int { return b.Version - a.Version })
	return out, nil
}

// others tells whether somebody else wrote a record last: who has its content in the
// name of another field manager.
func others(secret *corev1.Secret) bool {
	for _, m := range secret.ManagedFields {
		if m.FieldsV1 != nil && bytes.Contains(m.FieldsV1.Raw, []byte(`"f:release"`)) {
			return m.Manager != manager
		}
	}
	return false
}

// Versions are the resource versions of the records, by name of their Secret.
func (d *Driver) Versions() map[string]string {
	out := make(map[string]string, len(d.secrets))
	for name, secret := range d.secrets {
		out[name] = secret.ResourceVersion
	}
	return out
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return driver.SecretsDriverName }

// Get implements driver.Driver.
func (d *Driver) Get(key string) (*release.Release, error) {
	secret, ok := d.secrets[key]
	if !ok {
		return nil, driver.ErrReleaseNotFound
	}
	rel, _, err := decode(secret)
	return rel, err
}

// List implements driver.Driver, for the one release.
func (d *Driver) List(filter func(*release.Release) bool) ([]*release.Release, error) {
	all, err := d.query(labels.Everything())
	return slices.DeleteFunc(all, func(r *release.Release) bool { return !filter(r) }), err
}

// Query implements driver.Driver.
func (d *Driver) Query(wanted map[string]string) ([]*release.Release, error) {
	found, err := d.query(labels.SelectorFromSet(wanted))
	if err == nil && len(found) == 0 {
		return nil, driver.ErrReleaseNotFound
	}
	return found, err
}

func (d *Driver) query(selector labels.Selector) ([]*release.Release, error) {
	var out []*release.Release
	for _, secret := range d.secrets {
		if !selector.Matches(labels.Set(secret.Labels)) {
			continue
		}
		rel, _, err := decode(secret)
		if err != nil {
			return nil, err
		}
		out = append(out, rel)
	}
	return out, nil
}

// Create implements driver.Driver.
func (d *Driver) Create(key string, rel *release.Release) error {
	if d.Finish != nil {
		if err := d.Finish(rel); err != nil {
			return err
		}
	}
	extra := extras{}
	extra.setMethod(d.Method)
	secret, err := encode(key, rel, extra)
	if err != nil {
		return err
	}
	secret.Labels["createdAt"] = strconv.FormatInt(time.Now().Unix(), 10)
	return d.write(secret, func(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		created, err := d.client.Create(ctx, obj, metav1.CreateOptions{FieldManager: manager})
		if apierrors.IsAlreadyExists(err) {
			return nil, driver.ErrReleaseExists
		}
		return created, err
	})
}

// Update implements driver.Driver. What the record has that the SDK's type lacks,
// such as the apply method, stays.
func (d *Driver) Update(key string, rel *release.Release) error {
	before, ok := d.secrets[key]
	if !ok {
		return driver.ErrReleaseNotFound
	}
	_, extra, err := decode(before)
	if err != nil {
		return err
	}
	secret, err := encode(key, rel, extra)
	if err != nil {
		return err
	}
	secret.ResourceVersion = before.ResourceVersion
	secret.Labels["modifiedAt"] = strconv.FormatInt(time.Now().Unix(), 10)
	return d.write(secret, func(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		updated, err := d.client.Update(ctx, obj, metav1.UpdateOptions{FieldManager: manager})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%w: %w", ErrOvertaken, err)
		}
		return updated, err
	})
}

// Delete implements driver.Driver. A record that is gone already is no error.
func (d *Driver) Delete(key string) (*release.Release, error) {
	rel, err := d.Get(key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := d.lasting()
	defer cancel()
	failpoint.Hit("release.record")
	if err := d.client.Delete(ctx, key, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("Secret/%s: %w", key, err)
	}
	delete(d.secrets, key)
	return rel, nil
}

// lasting outlives an action that is ended from outside.
func (d *Driver) lasting() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(d.ctx), finishing)
}

func (d *Driver) write(secret *corev1.Secret, send func(context.Context, *unstructured.Unstructured) (*unstructured.Unstructured, error)) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(secret)
	if err != nil {
		return err
	}
	ctx, cancel := d.lasting()
	defer cancel()
	failpoint.Hit("release.record")
	stored, err := send(ctx, &unstructured.Unstructured{Object: content})
	if err != nil {
		return fmt.Errorf("Secret/%s: %w", secret.Name, err)
	}
	return d.keep(stored)
}

func (d *Driver) keep(obj *unstructured.Unstructured) error {
	secret := &corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, secret); err != nil {
		return fmt.Errorf("Secret/%s/%s: %w", obj.GetNamespace(), obj.GetName(), err)
	}
	d.secrets[secret.Name] = secret
	return nil
}
