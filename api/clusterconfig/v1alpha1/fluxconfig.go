package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// FluxConfigSpec is a source and what to apply from it.
// +kubebuilder:validation:XValidation:rule="(self.sourceKind == 'GitRepository') == has(self.gitRepository)",message="give gitRepository exactly when sourceKind is GitRepository"
// +kubebuilder:validation:XValidation:rule="(self.sourceKind == 'Bucket') == has(self.bucket)",message="give bucket exactly when sourceKind is Bucket"
// +kubebuilder:validation:XValidation:rule="(self.sourceKind == 'AzureBlob') == has(self.azureBlob)",message="give azureBlob exactly when sourceKind is AzureBlob"
// +kubebuilder:validation:XValidation:rule="(self.sourceKind == 'OCIRepository') == has(self.ociRepository)",message="give ociRepository exactly when sourceKind is OCIRepository"
type FluxConfigSpec struct {
	// Scope is what the configuration may change: the cluster, or only its own
	// namespace.
	// +kubebuilder:validation:Enum=cluster;namespace
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the scope can't be changed: delete the configuration and create it anew"
	// +kubebuilder:default=cluster
	// +optional
	Scope string `json:"scope,omitempty"`
	// SourceKind tells which of the sources below is meant.
	// +kubebuilder:validation:Enum=GitRepository;Bucket;AzureBlob;OCIRepository
	// +kubebuilder:default=GitRepository
	// +optional
	SourceKind string `json:"sourceKind,omitempty"`
	// Suspend the source and all kustomizations. What runs already ends by itself.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// +optional
	GitRepository *GitRepositoryDefinition `json:"gitRepository,omitempty"`
	// +optional
	Bucket *BucketDefinition `json:"bucket,omitempty"`
	// +optional
	AzureBlob *AzureBlobDefinition `json:"azureBlob,omitempty"`
	// +optional
	OCIRepository *OCIRepositoryDefinition `json:"ociRepository,omitempty"`
	// Kustomizations are what to apply from the source. The bound is there for the
	// rules below: the API server wants to know what they cost at most.
	// +kubebuilder:validation:MaxItems=1000
	// +listType=map
	// +listMapKey=name
	// +optional
	Kustomizations []KustomizationDefinition `json:"kustomizations,omitempty"`
	// ProtectedParametersSecretRef names the Secret with what nobody should read.
	// +optional
	ProtectedParametersSecretRef *meta.LocalObjectReference `json:"protectedParametersSecretRef,omitempty"`
	// WaitForReconciliation keeps the provisioning state at Creating or Updating
	// until the compliance is final.
	// +optional
	WaitForReconciliation bool `json:"waitForReconciliation,omitempty"`
	// ReconciliationWaitDuration is how long to wait at most; for ever when it is
	// not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	ReconciliationWaitDuration *metav1.Duration `json:"reconciliationWaitDuration,omitempty"`
	// CorrelationID of who asked for this.
	// +optional
	CorrelationID string `json:"correlationId,omitempty"`
	// OperationID of who asked for this; it becomes a label of what is generated.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern="^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
	// +optional
	OperationID string `json:"operationId,omitempty"`
}

// KustomizationDefinition is a folder of the source, and how to apply it.
// +kubebuilder:validation:XValidation:rule="!has(self.dependsOn) || !(self.name in self.dependsOn)",message="a kustomization can't depend on itself"
type KustomizationDefinition struct {
	// Name within the configuration. The generated Kustomization's name is the
	// configuration's, a hyphen and this.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=61
	// +kubebuilder:validation:Pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
	// +required
	Name string `json:"name"`
	// Path of the folder; the source's root when empty.
	// +optional
	Path string `json:"path,omitempty"`
	// DependsOn names kustomizations of the same configuration that come first.
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=61
	// +listType=set
	// +optional
	DependsOn []string `json:"dependsOn,omitempty"`
	// Timeout of building, applying and becoming healthy.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +kubebuilder:default="10m0s"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// SyncInterval is the default of retryInterval; what changes, in the source or
	// on the cluster, is acted on at once.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +kubebuilder:default="10m0s"
	// +optional
	SyncInterval *metav1.Duration `json:"syncInterval,omitempty"`
	// RetryInterval is the longest time between two attempts after a failure; the
	// sync interval when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`
	// Prune deletes what left the source.
	// +optional
	Prune bool `json:"prune,omitempty"`
	// Force recreates objects whose change the API server refuses.
	// +optional
	Force bool `json:"force,omitempty"`
	// Wait for every applied object to be healthy.
	// +kubebuilder:default=true
	// +optional
	Wait *bool `json:"wait,omitempty"`
	// PostBuild substitutes variables.
	// +optional
	PostBuild *PostBuild `json:"postBuild,omitempty"`
	// KubeConfig of another cluster to apply to.
	// +optional
	KubeConfig *KubeConfig `json:"kubeConfig,omitempty"`
	// Validation is of older versions, and means nothing any more: the API server
	// validates everything.
	// +kubebuilder:validation:Enum=none;client;server
	// +optional
	Validation string `json:"validation,omitempty"`
	// AdditionalConfigurations are merged into the spec of the generated
	// Kustomization. What the fields above say wins.
	// +optional
	AdditionalConfigurations map[string]apiextensionsv1.JSON `json:"additionalConfigurations,omitempty"`
}

// PostBuild substitutes variables in the built manifests.
type PostBuild struct {
	// Substitute has the variables' values.
	// +optional
	Substitute map[string]string `json:"substitute,omitempty"`
	// SubstituteFrom names ConfigMaps and Secrets with more of them.
	// +optional
	SubstituteFrom []SubstituteFrom `json:"substituteFrom,omitempty"`
}

// SubstituteFrom names a ConfigMap or Secret of the same namespace.
type SubstituteFrom struct {
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	// +required
	Kind string `json:"kind"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// Optional objects need not be there.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// KubeConfig names another cluster, and who acts there.
type KubeConfig struct {
	// ClusterResourceID is the cluster's resource id in Azure.
	// +kubebuilder:validation:Pattern="^/subscriptions/"
	// +required
	ClusterResourceID string `json:"clusterResourceId"`
	// ObjectLevelIdentity is who acts there.
	// +required
	ObjectLevelIdentity ObjectLevelIdentity `json:"objectLevelIdentity"`
}

// FluxConfig is a source and what to apply from it, with all that this takes: the
// source, Kustomizations, an account with its rights, and credentials.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=fc,categories={all,fluxcd}
// +kubebuilder:printcolumn:name="Scope",type="string",JSONPath=".spec.scope",description=""
// +kubebuilder:printcolumn:name="URL",type="string",JSONPath=`.spec['gitRepository','bucket','azureBlob','ociRepository'].url`,description=""
// +kubebuilder:printcolumn:name="Provision",type="string",JSONPath=".status.provisioningState",description=""
// +kubebuilder:printcolumn:name="Compliance",type="string",JSONPath=".status.complianceState",description=""
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description=""
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="a configuration's name can have 63 characters at most: it becomes a label"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.kustomizations) || self.spec.kustomizations.all(k, self.metadata.name.size() + k.name.size() + 1 <= 63)",messageExpression="'the names of a configuration (here %d characters) and of a kustomization (here up to %d), with a hyphen between them, can have 63 characters at most'.format([self.metadata.name.size(), self.spec.kustomizations.map(k, k.name.size()).max()])"
type FluxConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec FluxConfigSpec `json:"spec"`
	// +optional
	Status FluxConfigStatus `json:"status,omitempty"`
}

// FluxConfigList is a list of FluxConfigs.
//
// +kubebuilder:object:root=true
type FluxConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FluxConfig `json:"items"`
}
