package install

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/plumb-gitops/plumb/settings"
)

// namespace asks for the level restricted of the pod security standards. The file
// of the kubelet's identity is the node's, and no level but privileged lets a pod
// see one; warnings still tell of anything else.
func namespace(o Options, s settings.Settings) *corev1.Namespace {
	ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: o.placed("", o.Namespace)}
	const level = "pod-security.kubernetes.io/"
	ns.Labels[level+"enforce"], ns.Labels[level+"warn"] = "restricted", "restricted"
	if s.Deployment.KubeletIdentity {
		ns.Labels[level+"enforce"] = "privileged"
	}
	if o.OpenShift {
		ns.Labels["security.openshift.io/scc.podSecurityLabelSync"] = "false" // these labels are meant
	}
	return ns
}

// priorityClass is the highest that users may have: what keeps the cluster true
// goes before what it brings. The cluster's own classes are kept to kube-system in
// some clusters.
func priorityClass(o Options) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{
		TypeMeta:    metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"},
		ObjectMeta:  o.placed("", Name+"-"+o.Namespace),
		Value:       1_000_000_000,
		Description: "Plumb, which brings all other workloads",
	}
}

func account(o Options, s settings.Settings) *corev1.ServiceAccount {
	sa := &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: o.placed(o.Namespace, Name)}
	d := s.Deployment
	for name, value := range map[string]string{"client-id": d.AzureClient, "tenant-id": d.AzureTenant} {
		if d.WorkloadIdentity && value != "" {
			metav1.SetMetaDataAnnotation(&sa.ObjectMeta, "azure.workload.identity/"+name, value)
		}
	}
	return sa
}

func configMap(o Options) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: o.placed(o.Namespace, ConfigMap), Data: o.Settings,
	}
}

// service leads to the archives of sources, at the port that needs no number.
func service(o Options) *corev1.Service {
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: o.placed(o.Namespace, Name),
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeClusterIP,
			Selector: map[string]string{NameLabel: Name},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("artifacts"), Protocol: corev1.ProtocolTCP}},
		},
	}
}

// networkPolicy lets everything out, since sources are anywhere. Into the pod it
// lets whoever reads figures, the API server for `plumb drift` among them, and the
// namespace's own pods to the archives, where they are served. Probes come from the node and need no rule.
func networkPolicy(o Options) *networkingv1.NetworkPolicy {
	open := func(name string, from ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyIngressRule {
		at, tcp := intstr.FromString(name), corev1.ProtocolTCP
		return networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &at, Protocol: &tcp}}, From: from}
	}
	in := []networkingv1.NetworkPolicyIngressRule{open("metrics")}
	if o.Shards == 0 {
		in = append(in, open("artifacts", networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}))
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: o.placed(o.Namespace, Name),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{NameLabel: Name}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     in,
			Egress:      []networkingv1.NetworkPolicyEgressRule{{}},
		},
	}
}

// disruptionBudget keeps a drain from taking all replicas at once, and never blocks
// one: what is fetched again is no loss. The shards of the pod that goes are taken over
// before the next one may.
func disruptionBudget(o Options) *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	return &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: o.placed(o.Namespace, Name),
		Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{NameLabel: Name}}},
	}
}

func claim(o Options) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: o.placed(o.Namespace, Name),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(o.StorageSize)}},
		},
	}
	if o.StorageClass != "" {
		c.Spec.StorageClassName = &o.StorageClass
	}
	return c
}
