package install

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/plumb-gitops/plumb/settings"
)

// kubeletFile is where AKS notes on each node who its kubelet is, and
// kubeletVariable tells the engine to be nobody else (package cloud reads both).
const (
	kubeletFile     = "/etc/kubernetes/azure.json"
	kubeletVariable = "PLUMB_KUBELET_IDENTITY"
)

// user is whom the container runs as where the cluster does not choose.
const user = int64(65532)

// grace is how long a stop may take: passes under way end, and a release notes how
// far it came.
const grace = int64(60)

func podLabels(o Options, s settings.Settings) map[string]string {
	labels := Labels(o.Namespace)
	if s.Deployment.WorkloadIdentity {
		labels["azure.workload.identity/use"] = "true"
	}
	return labels
}

func podAnnotations(s settings.Settings) map[string]string {
	annotations := map[string]string{
		"prometheus.io/scrape": "true", "prometheus.io/port": fmt.Sprint(MetricsPort),
		"cluster-autoscaler.kubernetes.io/safe-to-evict": "true", // what emptyDir holds is fetched again
	}
	if s.Deployment.ServiceHostFQDN {
		annotations["kubernetes.azure.com/set-kube-service-host-fqdn"] = "true"
	}
	return annotations
}

func deployment(o Options, s settings.Settings) *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: o.placed(o.Namespace, Name),
		Spec: appsv1.DeploymentSpec{
			Replicas: &o.Replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{NameLabel: Name}},
			Strategy: strategy(o),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels(o, s), Annotations: podAnnotations(s)},
				Spec:       podSpec(o, s),
			},
		},
	}
}

// strategy starts the new pod before the old one ends: it waits for the lease, and
// the work goes on in the moment that this is given back. With shards it takes its
// share from the others; where their number has changed, the last of the old pods
// holds the lease. A volume has room for one.
func strategy(o Options) appsv1.DeploymentStrategy {
	if o.StorageSize != "" {
		return appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	return appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one},
	}
}

func podSpec(o Options, s settings.Settings) corev1.PodSpec {
	seconds := grace
	spec := corev1.PodSpec{
		ServiceAccountName:            Name,
		PriorityClassName:             Name + "-" + o.Namespace,
		TerminationGracePeriodSeconds: &seconds,
		NodeSelector:                  map[string]string{corev1.LabelOSStable: "linux"},
		SecurityContext:               podSecurity(o),
		Containers:                    []corev1.Container{container(o, s)},
		Volumes:                       volumes(o, s),
	}
	if o.PullSecret != "" {
		spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: o.PullSecret}}
	}
	if o.Replicas > 1 {
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{NameLabel: Name}},
		}}
	}
	return spec
}

// podSecurity is what the level restricted of the pod security standards asks for.
// OpenShift gives each namespace users of its own, and refuses others.
func podSecurity(o Options) *corev1.PodSecurityContext {
	yes, id := true, user
	c := &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if !o.OpenShift {
		c.RunAsUser, c.RunAsGroup, c.FSGroup = &id, &id, &id
	}
	return c
}

func container(o Options, s settings.Settings) corev1.Container {
	no, yes := false, true
	c := corev1.Container{
		Name:           Name,
		Image:          o.Image,
		Args:           arguments(o),
		Env:            []corev1.EnvVar{{Name: "POD_NAMESPACE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}}},
		Ports:          []corev1.ContainerPort{port("metrics", MetricsPort), port("health", HealthPort)},
		LivenessProbe:  probe("/healthz"),
		ReadinessProbe: probe("/readyz"),
		Resources:      resources(s.Deployment),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "tmp", MountPath: "/tmp"}},
	}
	if o.Shards == 0 {
		c.Ports = append(c.Ports, port("artifacts", ArtifactPort))
	}
	if s.Deployment.KubeletIdentity {
		c.Env = append(c.Env, corev1.EnvVar{Name: kubeletVariable, Value: kubeletFile})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "kubelet-identity", MountPath: kubeletFile, ReadOnly: true})
	}
	return c
}

// arguments are those of `plumb run`. All that is a setting is in the ConfigMap,
// which the engine watches.
func arguments(o Options) []string {
	args := []string{
		"run",
		"--storage-path=/data",
		"--lease-namespace=" + o.LeaseNamespace,
		fmt.Sprintf("--metrics-addr=:%d", MetricsPort),
		fmt.Sprintf("--health-addr=:%d", HealthPort),
	}
	if o.Shards > 0 {
		return append(args, fmt.Sprintf("--shards=%d", o.Shards), "--shard-namespace="+o.Namespace)
	}
	return append(args,
		fmt.Sprintf("--artifact-server=:%d", ArtifactPort),
		// The dot at the end spares the cluster's DNS the search through its domains.
		fmt.Sprintf("--artifact-advertised-address=%s.%s.svc.cluster.local.", Name, o.Namespace),
	)
}

func port(name string, number int32) corev1.ContainerPort {
	return corev1.ContainerPort{Name: name, ContainerPort: number, Protocol: corev1.ProtocolTCP}
}

func probe(path string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("health")}}}
}

func volumes(o Options, s settings.Settings) []corev1.Volume {
	data := corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	if o.StorageSize != "" {
		data = corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: Name}}
	}
	out := []corev1.Volume{{Name: "data", VolumeSource: data}, {Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	if s.Deployment.KubeletIdentity {
		file := corev1.HostPathFile
		out = append(out, corev1.Volume{Name: "kubelet-identity", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: kubeletFile, Type: &file}}})
	}
	return out
}
