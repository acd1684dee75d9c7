// Package storage keeps the records of Helm releases where Helm keeps them: in
// Secrets, in its encoding, so that the helm command line reads them and rolls
// back what we released.
//
// A Driver is for one pass over one release: it lists the records once, or is told them,
// and answers from memory what the SDK asks again and again. What it writes goes to the server
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
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

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
	client  corev1client.SecretInterface
	records map[string]*kept
}

var _ driver.Driver = (*Driver)(nil)

// Open lists the records of a release in the namespace of its records.
func Open(ctx context.Context, cluster *kube.Cluster, t helmrel.Target) (*Driver, error) {
	d, err := Resume(ctx, cluster, t, nil)
	if err != nil {
		return nil, err
	}
	selector := labels.SelectorFromSet(labels.Set{"name": t.Name, "owner": "helm"}).String()
	list, err := d.client.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("records of release %s in namespace %s: %w", t.Name, t.StorageNamespace, err)
	}
	for i := range list.Items {
		d.records[list.Items[i].Name] = &kept{secret: &list.Items[i]}
	}
	return d, nil
}

// Resume is for whoever knows the records already: they are as another pass left them, or
// nil when there are none. It asks nothing. If he is wrong, a write finds a record that it
// did not expect, or not the one that it expected, and is not made.
func Resume(ctx context.Context, cluster *kube.Cluster, t helmrel.Target, records []*corev1.Secret) (*Driver, error) {
	client, err := corev1client.NewForConfigAndClient(binary(cluster.Config), cluster.HTTP)
	if err != nil {
		return nil, err
	}
	d := &Driver{Method: helmrel.ServerSide, ctx: ctx, client: client.Secrets(t.StorageNamespace), records: map[string]*kept{}}
	for _, secret := range records {
		d.records[secret.Name] = &kept{secret: secret}
	}
	return d, nil
}

// Secrets are the records as they are stored, in no order. They are not to be changed.
func (d *Driver) Secrets() (all []*corev1.Secret) {
	for _, k := range d.records {
		all = append(all, k.secret)
	}
	return all
}

// binary has Secrets go over the wire as protobuf: a record is one long text, which JSON
// would have in base64, and both sides would read through.
func binary(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return config
}

// Records are the records, the newest first.
func (d *Driver) Records() ([]helmrel.Record, error) {
	var out []helmrel.Record
	for _, k := range d.records {
		record, err := k.record()
		if err != nil {
			return nil, err
		}
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
	out := make(map[string]string, len(d.records))
	for name, k := range d.records {
		out[name] = k.secret.ResourceVersion
	}
	return out
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return driver.SecretsDriverName }

// Get implements driver.Driver.
func (d *Driver) Get(key string) (*release.Release, error) {
	k, ok := d.records[key]
	if !ok {
		return nil, driver.ErrReleaseNotFound
	}
	return k.release()
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
	for _, k := range d.records {
		if !selector.Matches(labels.Set(k.secret.Labels)) {
			continue
		}
		rel, err := k.release()
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
	return d.write(key, rel, extra, func(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
		secret.Labels["createdAt"] = strconv.FormatInt(time.Now().Unix(), 10)
		created, err := d.client.Create(ctx, secret, metav1.CreateOptions{FieldManager: manager})
		if apierrors.IsAlreadyExists(err) {
			return nil, driver.ErrReleaseExists
		}
		return created, err
	})
}

// Update implements driver.Driver. What the record has that the SDK's type lacks,
// such as the apply method, stays.
func (d *Driver) Update(key string, rel *release.Release) error {
	before, ok := d.records[key]
	if !ok {
		return driver.ErrReleaseNotFound
	}
	if before.extra == nil {
		if _, err := before.read(); err != nil {
			return err
		}
	}
	return d.write(key, rel, before.extra, func(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
		secret.ResourceVersion = before.secret.ResourceVersion
		secret.Labels["modifiedAt"] = strconv.FormatInt(time.Now().Unix(), 10)
		updated, err := d.client.Update(ctx, secret, metav1.UpdateOptions{FieldManager: manager})
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
	delete(d.records, key)
	return rel, nil
}

// lasting outlives an action that is ended from outside.
func (d *Driver) lasting() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(d.ctx), finishing)
}

func (d *Driver) write(key string, rel *release.Release, extra extras, send func(context.Context, *corev1.Secret) (*corev1.Secret, error)) error {
	raw, err := marshal(rel, extra)
	if err != nil {
		return err
	}
	secret, err := pack(key, rel, raw)
	if err != nil {
		return err
	}
	ctx, cancel := d.lasting()
	defer cancel()
	failpoint.Hit("release.record")
	stored, err := send(ctx, secret)
	if err != nil {
		return fmt.Errorf("Secret/%s: %w", key, err)
	}
	k := &kept{secret: stored, extra: extra}
	k.keep(raw)
	d.records[key] = k
	return nil
}
