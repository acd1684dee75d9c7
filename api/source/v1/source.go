package v1

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// Source is what all kinds have in common that are fetched at an interval. An
// ExternalArtifact is none: others fetch it.
//
// +kubebuilder:object:generate=false
type Source interface {
	// GetInterval is the time between two looks.
	GetInterval() time.Duration
	// GetTimeout is how long one look with its download may take.
	GetTimeout() time.Duration
	// IsSuspended tells whether nothing is to be looked at.
	IsSuspended() bool
	// GetServiceAccountName names the account that authenticates with a cloud's
	// provider, "" for the engine's own identity.
	GetServiceAccountName() string
	// GetSecretNames names the Secrets that the spec refers to, sorted, each once.
	GetSecretNames() []string

	// GetArtifact is what is in use, nil when there is nothing yet.
	GetArtifact() *meta.Artifact
	// SetArtifact takes the artifact as it is; nil for none.
	SetArtifact(*meta.Artifact)
	// GetConditions points to the conditions, to read and to change them.
	GetConditions() *[]metav1.Condition
	// GetObservedGeneration is the generation that the status is about, -1 when
	// nobody has looked yet.
	GetObservedGeneration() int64
	SetObservedGeneration(int64)
	// GetLastHandledReconcileAt is the last requestedAt that was handled.
	GetLastHandledReconcileAt() string
	SetLastHandledReconcileAt(string)
}

var (
	_ Source = (*GitRepository)(nil)
	_ Source = (*OCIRepository)(nil)
	_ Source = (*Bucket)(nil)
	_ Source = (*HelmRepository)(nil)
	_ Source = (*HelmChart)(nil)
)

// orMinute is what the toolkit has for a default, of intervals and timeouts.
func orMinute(d *metav1.Duration) time.Duration {
	if d == nil {
		return time.Minute
	}
	return d.Duration
}

// referenced names what is referred to, sorted, each once.
func referenced(refs ...*meta.LocalObjectReference) []string {
	var names []string
	for _, ref := range refs {
		if ref != nil && ref.Name != "" {
			names = append(names, ref.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
