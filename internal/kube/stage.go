package kube

import "k8s.io/apimachinery/pkg/runtime/schema"

// The stages, in the order in which a cluster needs them. Within one, objects
// do not need each other to be accepted and are written in parallel.
const (
	definitions   = iota // what other objects cannot exist without
	prerequisites        // what workloads mount, run as or talk to
	workloads            // everything else
	gates                // what stands between clients and the API server
	Stages               // how many there are
)

var stageOf = map[schema.GroupKind]int{
	{Kind: "Namespace"}: definitions,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: definitions,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:               definitions,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                   definitions,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:                definitions,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                      definitions,
	{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"}:        definitions,

	{Kind: "ServiceAccount"}:                                         prerequisites,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        prerequisites,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: prerequisites,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               prerequisites,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        prerequisites,
	{Kind: "ConfigMap"}:                                 prerequisites,
	{Kind: "Secret"}:                                    prerequisites,
	{Kind: "PersistentVolume"}:                          prerequisites,
	{Kind: "PersistentVolumeClaim"}:                     prerequisites,
	{Kind: "ResourceQuota"}:                             prerequisites,
	{Kind: "LimitRange"}:                                prerequisites,
	{Kind: "Service"}:                                   prerequisites,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}: prerequisites,

	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}:   gates,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:     gates,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}:        gates,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}: gates,
	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                             gates,
}

// Stage is the stage in which objects of a kind are applied; they are pruned in
// the opposite order.
func Stage(gk schema.GroupKind) int {
	if s, ok := stageOf[gk]; ok {
		return s
	}
	return workloads
}
