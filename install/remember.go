package install

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// OptionsAnnotation on the Deployment holds the options that it was made with, so
// that the next installation keeps what it does not change.
const OptionsAnnotation = "plumb-gitops.github.io/install-options"

// memory is what is remembered of options. The settings are in the ConfigMap, and
// the image in the container, where others may have set another one.
type memory struct {
	PullSecret     string `json:"pullSecret,omitempty"`
	LeaseNamespace string `json:"leaseNamespace,omitempty"`
	Replicas       int32  `json:"replicas,omitempty"`
	Shards         int32  `json:"shards,omitempty"`
	StorageSize    string `json:"storageSize,omitempty"`
	StorageClass   string `json:"storageClass,omitempty"`
	OpenShift      bool   `json:"openShift,omitempty"`
}

func (o Options) remember() (string, error) {
	raw, err := json.Marshal(memory{o.PullSecret, o.LeaseNamespace, o.Replicas, o.Shards, o.StorageSize, o.StorageClass, o.OpenShift})
	return string(raw), err
}

// Remembered are the options that an installed Deployment was made with, without
// settings. A Deployment that says nothing of them has an image and no more.
func Remembered(deployment *unstructured.Unstructured) (Options, error) {
	var m memory
	text, ok := deployment.GetAnnotations()[OptionsAnnotation]
	if !ok {
		text = "{}"
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return Options{}, fmt.Errorf("Deployment/%s/%s: annotation %s: %w; remove it, and give the options anew",
			deployment.GetNamespace(), deployment.GetName(), OptionsAnnotation, err)
	}
	return Options{
		Namespace: deployment.GetNamespace(), Image: imageOf(deployment), PullSecret: m.PullSecret, LeaseNamespace: m.LeaseNamespace, Replicas: m.Replicas,
		Shards: m.Shards, StorageSize: m.StorageSize, StorageClass: m.StorageClass, OpenShift: m.OpenShift,
	}, nil
}

func imageOf(deployment *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers") // its form is the API server's
	for _, c := range containers {
		if of, ok := c.(map[string]any); ok && of["name"] == Name {
			image, _ := of["image"].(string)
			return image
		}
	}
	return ""
}
