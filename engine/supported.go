package engine

import (
	"fmt"
	"slices"
	"strings"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// Fields that the API has and the engine does not act on yet are refused, not
// passed over: to ignore a kubeConfig would change the wrong cluster, to ignore
// a verification would trust anybody.

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
