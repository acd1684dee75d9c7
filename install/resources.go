package install

import (
	"cmp"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plumb-gitops/plumb/settings"
)

// What the container gets where no setting says otherwise. There is no CPU limit:
// it would only make what is under way take longer.
const (
	cpuRequest    = "100m"
	memoryRequest = "64Mi"
	memoryLimit   = "1Gi"
)

// resources are what the settings say, else the defaults. A default request gives
// way to a smaller limit.
func resources(d settings.Deployment) corev1.ResourceRequirements {
	limits := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(cmp.Or(d.Limits.Memory, memoryLimit))}
	if d.Limits.CPU != "" {
		limits[corev1.ResourceCPU] = resource.MustParse(d.Limits.CPU)
	}
	return corev1.ResourceRequirements{
		Limits: limits,
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    request(d.Requests.CPU, cpuRequest, limits, corev1.ResourceCPU),
			corev1.ResourceMemory: request(d.Requests.Memory, memoryRequest, limits, corev1.ResourceMemory),
		},
	}
}

func request(asked, fallback string, limits corev1.ResourceList, name corev1.ResourceName) resource.Quantity {
	if asked != "" {
		return resource.MustParse(asked)
	}
	q := resource.MustParse(fallback)
	if limit, ok := limits[name]; ok && limit.Cmp(q) < 0 {
		return limit
	}
	return q
}

// resourcesAgree refuses requests above the limits: no pod would ever start.
func resourcesAgree(d settings.Deployment) error {
	return errors.Join(
		below("cpu", d.Requests.CPU, d.Limits.CPU),
		below("memory", d.Requests.Memory, cmp.Or(d.Limits.Memory, memoryLimit)),
	)
}

func below(what, asked, limit string) error {
	if asked == "" || limit == "" {
		return nil
	}
	q, err := resource.ParseQuantity(asked)
	most, err2 := resource.ParseQuantity(limit)
	if err != nil || err2 != nil || q.Cmp(most) <= 0 { // package settings has told what is no quantity
		return nil
	}
	return fmt.Errorf("resources.requests.%s %s is above resources.limits.%s %s: raise the limit, or lower the request", what, asked, what, limit)
}
