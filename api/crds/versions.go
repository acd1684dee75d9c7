package crds

import "slices"

// The parts of an artifact that versions ask for. v1beta1 knew a checksum where
// there is a digest now.
var (
	v1beta2Artifact = []any{"lastUpdateTime", "path", "revision", "url"}
	v1beta1Artifact = []any{"lastUpdateTime", "path", "url"}
)

// versions are the older versions of each definition.
var versions = map[string][]older{
	"helmreleases.helm.toolkit.fluxcd.io": {
		{name: "v2beta2", edits: append(without(rules, "spec.kubeConfig"),
			required("spec.kubeConfig", "secretRef"),
			enum("spec.chartRef.kind", "OCIRepository", "HelmChart"),
		)},
		{name: "v2beta1", edits: slices.Concat(
			without(rules, "spec", "spec.kubeConfig"),
			without("minLength", "spec.chart.spec.chart", "spec.serviceAccountName", "status.storageNamespace"),
			without("maxLength", "spec.chart.spec.chart", "spec.serviceAccountName", "status.storageNamespace"),
			without("enum", "status.lastAttemptedReleaseAction"),
			[]edit{
				required("spec", "chart", "interval"),
				required("spec.kubeConfig", "secretRef"),
				enum("spec.chart.spec.verify.provider", "cosign"),
				enum("spec.chartRef.kind", "OCIRepository", "HelmChart"),
			},
		)},
	},
	"buckets.source.toolkit.fluxcd.io": {
		{name: "v1beta2", edits: []edit{
			firstRules("spec", 5),
			required("status.artifact", v1beta2Artifact...),
		}},
		{name: "v1beta1", ageLast: true, edits: slices.Concat(
			without(rules, "spec"),
			without("pattern", "spec.interval", "spec.timeout"),
			[]edit{
				enum("spec.provider", "generic", "aws", "gcp"),
				required("status.artifact", v1beta1Artifact...),
			},
		)},
	},
	"gitrepositories.source.toolkit.fluxcd.io": {
		{name: "v1beta2", edits: slices.Concat(
			without(rules, "spec"),
			without("default", "spec.verify.mode"),
			[]edit{
				defaulted("spec.gitImplementation", "go-git"),
				enum("spec.verify.mode", "head"),
				required("spec.verify", "mode", "secretRef"),
				required("status.artifact", v1beta2Artifact...),
				required("status.includedArtifacts[]", v1beta2Artifact...),
			},
		)},
		{name: "v1beta1", ageLast: true, edits: slices.Concat(
			without(rules, "spec"),
			without("pattern", "spec.interval", "spec.timeout"),
			without("default", "spec.verify.mode"),
			[]edit{
				defaulted("spec.gitImplementation", "go-git"),
				enum("spec.verify.mode", "head"),
				required("spec.verify", "mode"),
				required("status.artifact", v1beta1Artifact...),
				required("status.includedArtifacts[]", v1beta1Artifact...),
			},
		)},
	},
	"helmcharts.source.toolkit.fluxcd.io": {
		{name: "v1beta2", edits: append(without(rules, "spec"),
			required("status.artifact", v1beta2Artifact...),
		)},
		{name: "v1beta1", ageLast: true, edits: slices.Concat(
			without(rules, "spec"),
			without("pattern", "spec.interval"),
			[]edit{required("status.artifact", v1beta1Artifact...)},
		)},
	},
	"helmrepositories.source.toolkit.fluxcd.io": {
		{name: "v1beta2", edits: []edit{required("status.artifact", v1beta2Artifact...)}},
		{name: "v1beta1", ageLast: true, edits: append(
			without("pattern", "spec.interval", "spec.timeout", "spec.url"),
			defaulted("spec.timeout", "60s"),
			required("spec", "interval", "url"),
			required("status.artifact", v1beta1Artifact...),
		)},
	},
	"ocirepositories.source.toolkit.fluxcd.io": {
		{name: "v1beta2", edits: []edit{required("status.artifact", v1beta2Artifact...)}},
	},
	"kustomizations.kustomize.toolkit.fluxcd.io": {
		{name: "v1beta2", edits: append(without(rules, "spec.kubeConfig"),
			required("spec.kubeConfig", "secretRef"),
			enum("spec.sourceRef.kind", "OCIRepository", "GitRepository", "Bucket"),
		)},
		{name: "v1beta1", ageLast: true, edits: slices.Concat(
			without(rules, "spec.kubeConfig"),
			without("pattern", "spec.interval", "spec.retryInterval", "spec.timeout"),
			[]edit{
				required("spec.kubeConfig", "secretRef"),
				enum("spec.sourceRef.kind", "GitRepository", "Bucket"),
			},
		)},
	},
}
