package engine

import (
	"context"
	"errors"
	"fmt"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
)

// Tenancy (Options.OwnNamespaceOnly): what an object refers to is in its own
// namespace, so that nobody gets at another tenant's sources. What it applies is
// bounded by the rights of its service account.

// ownNamespaceOnly refuses a unit that refers to others' objects. Only another
// spec can help.
func (e *Engine) ownNamespaceOnly(k *kustomizev1.Kustomization) error {
	errs := []error{e.refused("spec.sourceRef", k.Namespace, k.Spec.SourceRef.Namespace)}
	for i, d := range k.Spec.DependsOn {
		errs = append(errs, e.refused(fmt.Sprintf("spec.dependsOn[%d]", i), k.Namespace, d.Namespace))
	}
	if err := errors.Join(errs...); err != nil {
		return fail(kustomizev1.AccessDeniedReason, Stall, err)
	}
	return nil
}

// refused is the error about a reference from one namespace to another where
// tenancy forbids it; nil where it doesn't. No namespace is the object's own.
func (e *Engine) refused(field, own, other string) error {
	if !e.OwnNamespaceOnly || other == "" || other == own {
		return nil
	}
	return fmt.Errorf("%s refers to namespace %s, and multiTenancy.enforce allows references within namespace %s only: "+
		"put both objects into one namespace, and name where the workloads belong with targetNamespace", field, other, own)
}

// applier makes sure that the account is there which a unit acts as that names
// none: impersonating one that is not would fail with a message about rights.
func (e *Engine) applier(ctx context.Context, r *reader, k *kustomizev1.Kustomization) error {
	if e.DefaultServiceAccount == "" || k.Spec.ServiceAccountName != "" || k.Spec.KubeConfig != nil {
		return nil
	}
	if _, err := e.serviceAccount(ctx, r, k.Namespace, e.DefaultServiceAccount); err != nil {
		return fmt.Errorf("spec.serviceAccountName is not set, so the object acts as %s of its namespace: %w; "+
			"create that account with the rights to apply, or name another", e.DefaultServiceAccount, err)
	}
	return nil
}
