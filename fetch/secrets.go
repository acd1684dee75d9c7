package fetch

import (
	"context"
	"fmt"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source/transport"
)

// secret reads the Secret of a field and gives its data to use; it does nothing
// for a field that is not set. Errors name the field and the Secret.
func secret(ctx context.Context, c Cluster, field string, ref *meta.LocalObjectReference, use func(data map[string][]byte) error) error {
	if ref == nil || ref.Name == "" {
		return nil
	}
	data, err := c.Secret(ctx, ref.Name)
	if err != nil {
		return failed(sourcev1.AuthenticationFailedReason, fmt.Errorf("%s: %w", field, err))
	}
	if err := use(data); err != nil {
		return failed(sourcev1.AuthenticationFailedReason, fmt.Errorf("%s: Secret %s: %w", field, ref.Name, err))
	}
	return nil
}

// connection is how to reach a server: with the certificates of one Secret,
// through the proxy of another.
func connection(ctx context.Context, c Cluster, certificates, proxy *meta.LocalObjectReference) (o transport.Options, err error) {
	err = secret(ctx, c, "spec.certSecretRef", certificates, func(data map[string][]byte) error {
		return transport.TLSFromSecret(data, &o)
	})
	if err != nil {
		return o, err
	}
	err = secret(ctx, c, "spec.proxySecretRef", proxy, func(data map[string][]byte) (err error) {
		o.Proxy, err = transport.ProxyFromSecret(data)
		return err
	})
	return o, err
}
