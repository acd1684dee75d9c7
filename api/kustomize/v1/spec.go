package v1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/plumb-gitops/plumb/api/meta"
)

// BuildMetadata is one of kustomize's build metadata options.
// +kubebuilder:validation:Enum=originAnnotations;transformerAnnotations
type BuildMetadata string

// CommonMetadata is added to every object.
type CommonMetadata struct {
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// Decryption tells how to decrypt Secrets.
type Decryption struct {
	// Provider of the decryption.
	// +kubebuilder:validation:Enum=sops
	// +required
	Provider string `json:"provider"`
	// ServiceAccountName whose identity is used with a key service.
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// SecretRef names the Secret with the private keys.
	// +optional
	SecretRef *meta.LocalObjectReference `json:"secretRef,omitempty"`
}

// KubeConfigReference names the connection to another cluster.
// +kubebuilder:validation:XValidation:rule="has(self.configMapRef) || has(self.secretRef)",message="exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"
// +kubebuilder:validation:XValidation:rule="!has(self.configMapRef) || !has(self.secretRef)",message="exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified"
type KubeConfigReference struct {
	// ConfigMapRef names the ConfigMap with a cloud provider's settings.
	// +optional
	ConfigMapRef *meta.LocalObjectReference `json:"configMapRef,omitempty"`
	// SecretRef names the Secret with a kubeconfig.
	// +optional
	SecretRef *meta.SecretKeyReference `json:"secretRef,omitempty"`
}

// PostBuild substitutes variables in the built manifests.
type PostBuild struct {
	// Substitute maps variables to values.
	// +optional
	Substitute map[string]string `json:"substitute,omitempty"`
	// SubstituteFrom lists ConfigMaps and Secrets with variables.
	// +optional
	SubstituteFrom []SubstituteReference `json:"substituteFrom,omitempty"`
	// SubstituteStrategy tells when to substitute.
	// +kubebuilder:validation:Enum=WithVariables;Always
	// +optional
	SubstituteStrategy string `json:"substituteStrategy,omitempty"`
}

// SubstituteReference names an object with variables.
type SubstituteReference struct {
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	// +required
	Kind string `json:"kind"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// Optional tolerates that there is no such object.
	// +kubebuilder:default:=false
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// DependencyReference names a unit that has to be ready first.
type DependencyReference struct {
	// +required
	Name string `json:"name"`
	// Namespace of the unit; the same when empty.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// ReadyExpr is a CEL expression that has to be true.
	// +optional
	ReadyExpr string `json:"readyExpr,omitempty"`
}

// NamespacedObjectKindReference names an object of any kind.
type NamespacedObjectKindReference struct {
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// +required
	Kind string `json:"kind"`
	// +required
	Name string `json:"name"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// CustomHealthCheck tells by CEL expressions how healthy looks for a kind.
type CustomHealthCheck struct {
	// +required
	APIVersion string `json:"apiVersion"`
	// +optional
	Kind string `json:"kind,omitempty"`
	// +optional
	InProgress string `json:"inProgress,omitempty"`
	// +optional
	Failed string `json:"failed,omitempty"`
	// +required
	Current string `json:"current"`
}

// IgnoreRule lists fields of some objects that are left alone.
type IgnoreRule struct {
	// Paths are JSON pointers (RFC 6901).
	// +required
	Paths []string `json:"paths"`
	// +optional
	Target *Selector `json:"target,omitempty"`
}

// Selector selects objects.
type Selector struct {
	// +optional
	Group string `json:"group,omitempty"`
	// +optional
	Version string `json:"version,omitempty"`
	// +optional
	Kind string `json:"kind,omitempty"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// +optional
	Name string `json:"name,omitempty"`
	// +optional
	AnnotationSelector string `json:"annotationSelector,omitempty"`
	// +optional
	LabelSelector string `json:"labelSelector,omitempty"`
}

// Patch is a strategic merge patch or a JSON patch.
type Patch struct {
	// +required
	Patch string `json:"patch"`
	// +optional
	Target *Selector `json:"target,omitempty"`
}

// JSON6902Patch is a JSON patch (RFC 6902) in the form of v1beta1 and v1beta2.
type JSON6902Patch struct {
	// +required
	Patch []JSON6902 `json:"patch"`
	// +required
	Target Selector `json:"target"`
}

// JSON6902 is one operation of a JSON patch.
type JSON6902 struct {
	// +kubebuilder:validation:Enum=test;remove;add;replace;move;copy
	// +required
	Op string `json:"op"`
	// +required
	Path string `json:"path"`
	// +optional
	From string `json:"from,omitempty"`
	// +optional
	Value *apiextensionsv1.JSON `json:"value,omitempty"`
}

// Image replaces a container image.
type Image struct {
	// +required
	Name string `json:"name"`
	// +optional
	NewName string `json:"newName,omitempty"`
	// +optional
	NewTag string `json:"newTag,omitempty"`
	// +optional
	Digest string `json:"digest,omitempty"`
}

// CrossNamespaceSourceReference names a source.
type CrossNamespaceSourceReference struct {
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// +kubebuilder:validation:Enum=OCIRepository;GitRepository;Bucket;ExternalArtifact
	// +required
	Kind string `json:"kind"`
	// +required
	Name string `json:"name"`
	// Namespace of the source; the same when empty.
	// +optional
	Namespace string `json:"namespace,omitempty"`
}
