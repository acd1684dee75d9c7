package fetch

import (
	"context"
	"fmt"
	"time"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source/cloud"
	"github.com/plumb-gitops/plumb/source/oci"
)

func accountError(err error) error {
	return failed(sourcev1.AuthenticationFailedReason, fmt.Errorf("spec.serviceAccountName: %w", err))
}

// identity is whose credentials a cloud's provider gives: a service account's, or
// with no name the engine's own.
func identity(ctx context.Context, c Cluster, name string) (cloud.Options, error) {
	if name == "" {
		return cloud.Options{}, nil
	}
	account, _, err := c.ServiceAccount(ctx, name)
	if err != nil {
		return cloud.Options{}, accountError(err)
	}
	return cloud.Options{ServiceAccount: account}, nil
}

// registryLogin asks a provider for credentials of its registry.
func registryLogin(ctx context.Context, c Cluster, provider, account string) (*oci.Login, error) {
	options, err := identity(ctx, c, account)
	if err != nil {
		return nil, err
	}
	as := provider
	if options.ServiceAccount != nil {
		as = fmt.Sprintf("%s %s/%s %q", provider, options.ServiceAccount.Namespace, account, options.ServiceAccount.Annotations)
	}
	return &oci.Login{As: as, Get: func(ctx context.Context, host string) (username, password string, expires time.Time, err error) {
		username, password, expires, err = cloud.RegistryLogin(ctx, provider, host, options)
		if err != nil && ctx.Err() == nil {
			err = refusedLogin(provider, err)
		}
		return username, password, expires, err
	}}, nil
}
