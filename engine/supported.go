package engine

import (
	"fmt"
	"slices"
	"strings"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// Fields that the API has and the engine does not act on yet are refused, not
// passed over: to ignore a kubeConfig would change the wrong cluster, to ignore
// a verification would trust anybody.

// supported refuses a Kustomization that asks for more than the engine does.
func supported(s kustomizev1.KustomizationSpec) error {
	fields := used(map[string]bool{
		"commonMetadata":          s.CommonMetadata != nil,
		"components":              len(s.Components) > 0,
		"buildMetadata":           len(s.BuildMetadata) > 0,
		"decryption":              s.Decryption != nil,
		"healthCheckExprs":        len(s.HealthCheckExprs) > 0,
		"ignore":                  len(s.Ignore) > 0,
		"images":                  len(s.Images) > 0,
		"namePrefix":              s.NamePrefix != "",
		"nameSuffix":              s.NameSuffix != "",
		"patches":                 len(s.Patches) > 0,
		"postBuild":               s.PostBuild != nil,
		"dependsOn[].readyExpr":   slices.ContainsFunc(s.DependsOn, func(d kustomizev1.DependencyReference) bool { return d.ReadyExpr != "" }),
		"ignoreMissingComponents": s.IgnoreMissingComponents,
	})
	if fields == "" {
		return nil
	}
	return fail(kustomizev1.ReconciliationFailedReason, Stall, fmt.Errorf("not supported yet: %s; nothing is applied while that is set", fields))
}

// supportedSource refuses a GitRepository that asks for more than the engine does.
func supportedSource(s sourcev1.GitRepositorySpec) error {
	fields := used(map[string]bool{
		"include":            len(s.Include) > 0,
		"provider":           s.Provider != "" && s.Provider != "generic",
		"proxySecretRef":     s.ProxySecretRef != nil,
		"recurseSubmodules":  s.RecurseSubmodules,
		"serviceAccountName": s.ServiceAccountName != "",
		"sparseCheckout":     len(s.SparseCheckout) > 0,
		"verify":             s.Verification != nil,
	})
	if fields == "" {
		return nil
	}
	return &sourceFailure{sourcev1.GitOperationFailedReason, Stall, fmt.Errorf("not supported yet: %s; nothing is fetched while that is set", fields)}
}

// used names the fields that are set, sorted.
func used(fields map[string]bool) string {
	var out []string
	for name, set := range fields {
		if set {
			out = append(out, "spec."+name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
