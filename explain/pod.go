package explain

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/health"
)

// PodTrouble is why a pod is not ready, in one line; "" for one that is.
func PodTrouble(pod *unstructured.Unstructured) string {
	if health.Of(pod).Status == health.Current {
		return ""
	}
	return podTrouble(pod)
}
