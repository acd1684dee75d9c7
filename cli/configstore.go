package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig/flags"
	"github.com/plumb-gitops/plumb/internal/kube"
)

var (
	secretKind    = corev1.SchemeGroupVersion.WithKind("Secret")
	namespaceKind = corev1.SchemeGroupVersion.WithKind("Namespace")
)

// configStore reads and writes configurations with their protected parameters.
type configStore struct {
	*kube.Cluster
	global *global
	in     io.Reader // who is asked
	yes    bool      // and agrees to everything
	// agreed are the doubts that the user agreed to.
	agreed map[string]bool
}

func newConfigStore(g *global, cluster *kube.Cluster, in io.Reader, yes bool) *configStore {
	return &configStore{Cluster: cluster, global: g, in: in, yes: yes, agreed: map[string]bool{}}
}

// stored is what is there of a configuration.
type stored struct {
	flags.Have
	secret *unstructured.Unstructured // with the protected parameters
}

// hold reads the protected parameters of a configuration; of one that is not there
// yet they may be left from one before.
func (s *configStore) hold(ctx context.Context, fc *clusterconfigv1.FluxConfig, namespace, name string) (stored, error) {
	h := stored{Have: flags.Have{Object: fc}}
	secret := flags.ProtectedName(name)
	if fc != nil && fc.Spec.ProtectedParametersSecretRef != nil {
		secret = fc.Spec.ProtectedParametersSecretRef.Name
	}
	found, err := s.Get(ctx, keyOf(secretKind, namespace, secret))
	switch {
	case apierrors.IsNotFound(err):
		return h, nil
	case apierrors.IsForbidden(err):
		// Without a reference nobody says that there is one.
		h.Unread = fc != nil && fc.Spec.ProtectedParametersSecretRef != nil
		return h, nil
	case err != nil:
		return h, fmt.Errorf("Secret/%s/%s: %w", namespace, secret, err)
	}
	typed := corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &typed); err != nil {
		return h, fmt.Errorf("Secret/%s/%s has an unexpected form", namespace, secret)
	}
	h.Protected, h.secret = typed.Data, found
	return h, nil
}

// change reads what is there, has it planned, asks, and writes. When somebody else
// was quicker this is done again, and asked again only about what is new.
func (s *configStore) change(ctx context.Context, read func() (stored, error), plan func(stored) (*flags.Plan, error)) (out *clusterconfigv1.FluxConfig, notes []string, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		have, err := read()
		if err != nil {
			return err
		}
		p, err := plan(have)
		if err != nil {
			return err
		}
		if err := s.agree(p.Doubts); err != nil {
			return err
		}
		notes = p.Notes
		// A few short requests, which Ctrl-C does not come between.
		out, err = s.save(context.WithoutCancel(ctx), have, p)
		return err
	})
	return out, notes, err
}

func (s *configStore) agree(doubts []string) error {
	var open []string
	for _, doubt := range doubts {
		if !s.agreed[doubt] {
			open = append(open, doubt)
		}
	}
	if err := s.global.agree(s.in, s.yes, open); err != nil {
		return err
	}
	for _, doubt := range open {
		s.agreed[doubt] = true
	}
	return nil
}

// save writes a plan. Of a new configuration the parameters come last, since they
// are to go with it: until then it waits for them, and says so. Of one that is
// there they come first. Where this is cut off, the same command does the rest.
func (s *configStore) save(ctx context.Context, have stored, p *flags.Plan) (*clusterconfigv1.FluxConfig, error) {
	if have.Object != nil {
		if err := s.protect(ctx, have.Object, have.secret, p); err != nil {
			return nil, err
		}
		return s.patch(ctx, have.Object, p.Patch)
	}
	fc, err := s.create(ctx, p.Object)
	if err != nil {
		return nil, err
	}
	return fc, s.protect(ctx, fc, have.secret, p)
}

// create makes a configuration, and its namespace where that is not there. A
// namespace that was made for one that is refused goes again.
func (s *configStore) create(ctx context.Context, fc *clusterconfigv1.FluxConfig) (*clusterconfigv1.FluxConfig, error) {
	made, err := s.ensureNamespace(ctx, fc.Namespace)
	if err != nil {
		return nil, err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(fc)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	resource, err := s.Resource(fluxConfigKind, fc.Namespace)
	if err != nil {
		return nil, err
	}
	created, err := resource.Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{FieldManager: cliManager, FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		err = fmt.Errorf("%s: %w", configKey(fc), plain(err))
		if made != "" {
			_, again := s.Delete(ctx, keyOf(namespaceKind, "", fc.Namespace), made, "")
			err = errors.Join(err, again)
		}
		return nil, err
	}
	return typedConfig(created)
}

// ensureNamespace gives the uid of a namespace that had to be made.
func (s *configStore) ensureNamespace(ctx context.Context, name string) (types.UID, error) {
	there, err := exists(ctx, s.Cluster, keyOf(namespaceKind, "", name))
	if apierrors.IsForbidden(err) {
		return "", nil // who may not look learns from the next request
	}
	if err != nil || there {
		return "", err
	}
	resource, err := s.Resource(namespaceKind, "")
	if err != nil {
		return "", err
	}
	ns := &unstructured.Unstructured{}
	ns.SetGroupVersionKind(namespaceKind)
	ns.SetName(name)
	made, err := resource.Create(ctx, ns, metav1.CreateOptions{FieldManager: cliManager})
	if apierrors.IsAlreadyExists(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("Namespace/%s: %w", name, err)
	}
	return made.GetUID(), nil
}

// patch changes a configuration if it still is as it was read.
func (s *configStore) patch(ctx context.Context, fc *clusterconfigv1.FluxConfig, patch map[string]any) (*clusterconfigv1.FluxConfig, error) {
	body := map[string]any{"metadata": map[string]any{"resourceVersion": fc.ResourceVersion}, "spec": patch["spec"]}
	changed, err := s.merge(ctx, fluxConfigKind, fc.Namespace, fc.Name, body)
	if err != nil {
		return nil, err
	}
	return typedConfig(changed)
}

func (s *configStore) merge(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string, body map[string]any) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	resource, err := s.Resource(gvk, namespace)
	if err != nil {
		return nil, err
	}
	out, err := resource.Patch(ctx, name, types.MergePatchType, raw, metav1.PatchOptions{FieldManager: cliManager, FieldValidation: metav1.FieldValidationStrict})
	if err != nil && !apierrors.IsConflict(err) {
		err = fmt.Errorf("%s: %w", keyOf(gvk, namespace, name), plain(err))
	}
	return out, err
}

// protect writes the protected parameters that change into their Secret. One of our
// own name goes with the configuration.
func (s *configStore) protect(ctx context.Context, fc *clusterconfigv1.FluxConfig, have *unstructured.Unstructured, p *flags.Plan) error {
	name := flags.ProtectedName(fc.Name)
	if ref := fc.Spec.ProtectedParametersSecretRef; ref != nil {
		name = ref.Name
	}
	if len(p.Protected) == 0 {
		return nil
	}
	owner := []any{map[string]any{"apiVersion": clusterconfigv1.GroupVersion.String(), "kind": clusterconfigv1.FluxConfigKind, "name": fc.Name, "uid": string(fc.UID)}}
	data := map[string]any{}
	for key, value := range p.Protected {
		data[key] = nil
		if value != nil {
			data[key] = value // in base64, as JSON has bytes
		}
	}
	if have != nil {
		body := map[string]any{"data": data}
		if name == flags.ProtectedName(fc.Name) {
			body["metadata"] = map[string]any{"ownerReferences": owner}
		}
		_, err := s.merge(ctx, secretKind, fc.Namespace, name, body)
		return err
	}
	return s.createSecret(ctx, fc.Namespace, name, data, owner)
}

func (s *configStore) createSecret(ctx context.Context, namespace, name string, data map[string]any, owner []any) error {
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": secretKind.Kind, "type": "Opaque", "data": data,
		"metadata": map[string]any{"namespace": namespace, "name": name, "ownerReferences": owner},
	})
	if err != nil {
		return err
	}
	secret := &unstructured.Unstructured{}
	if err := secret.UnmarshalJSON(raw); err != nil {
		return err
	}
	resource, err := s.Resource(secretKind, namespace)
	if err != nil {
		return err
	}
	if _, err := resource.Create(ctx, secret, metav1.CreateOptions{FieldManager: cliManager}); err != nil {
		return fmt.Errorf("%s: %w", kube.KeyOf(secret), err)
	}
	return nil
}
