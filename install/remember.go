package install

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// OptionsAnnotation on the Deployment holds the options that it was made with, so
// that the next installation keeps what it does not change.
const OptionsAnnotation = "plumb-gitops.github.io/install-options"

// memory is what is remembered of options. The settings are in the ConfigMap.
type memory struct {
	Image          string `json:"image"`
	PullSecret     string `json:"pullSecret,omitempty"`
	LeaseNamespace string `json:"leaseNamespace,omitempty"`
	Replicas       int32  `json:"replicas,omitempty"`
	StorageSize    string `json:"storageSize,omitempty"`
	StorageClass   string `json:"storageClass,omitempty"`
	OpenShift      bool   `json:"openShift,omitempty"`
}

func (o Options) remember() (string, error) {
	raw, err := json.Marshal(memory{o.Image, o.PullSecret, o.LeaseNamespace, o.Replicas, o.StorageSize, o.StorageClass, o.OpenShift})
	return string(raw), err
}

// Remembered are the options that an installed Deployment was made with, without
// settings. A Deployment that says nothing of them has none.
func Remembered(deployment *unstructured.Unstructured) (Options, error) {
	text, ok := deployment.GetAnnotations()[OptionsAnnotation]
	if !ok {
		return Options{}, nil
	}
	var m memory
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return Options{}, fmt.Errorf("Deployment/%s/%s: annotation %s: %w; remove it, and give the options anew",
			deployment.GetNamespace(), deployment.GetName(), OptionsAnnotation, err)
	}
	return Options{
		Namespace: deployment.GetNamespace(), Image: m.Image, PullSecret: m.PullSecret, LeaseNamespace: m.LeaseNamespace, Replicas: m.Replicas,
		StorageSize: m.StorageSize, StorageClass: m.StorageClass, OpenShift: m.OpenShift,
	}, nil
}
