package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// ExternalArtifactKind is the kind's name.
const ExternalArtifactKind = "ExternalArtifact"

// ExternalArtifactSpec says what the artifact was made from.
type ExternalArtifactSpec struct {
	// SourceRef names the object from which the artifact was made.
	// +optional
	SourceRef *meta.NamespacedObjectReference `json:"sourceRef,omitempty"`
}

// ExternalArtifactStatus is what another controller offers.
type ExternalArtifactStatus struct {
	// Artifact to use.
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`
	// Conditions of the artifact.
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ExternalArtifact is an artifact that another controller has made and stored.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ea,categories={all,fluxcd,fluxcd-sources}
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status",description=""
// +kubebuilder:printcolumn:name="Status",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].message",description=""
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.spec.sourceRef.name`
type ExternalArtifact struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec ExternalArtifactSpec `json:"spec,omitempty"`
	// +optional
	Status ExternalArtifactStatus `json:"status,omitempty"`
}

// ExternalArtifactList is a list of artifacts.
//
// +kubebuilder:object:root=true
type ExternalArtifactList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExternalArtifact `json:"items"`
}

// GetArtifact is what the other controller offers, nil when there is nothing yet.
func (a *ExternalArtifact) GetArtifact() *meta.Artifact { return a.Status.Artifact }

// GetConditions points to the conditions.
func (a *ExternalArtifact) GetConditions() *[]metav1.Condition { return &a.Status.Conditions }
