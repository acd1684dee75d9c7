package crds_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	v1alpha1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// places say for each property of the REST resource fluxConfigurations where the
// kind has it, in the words of flatten: path, type, required, constraints.
// Properties whose value is a secret are keys of the protected parameters.
var places = map[string][]string{
	// The resource itself.
	"scope":                      {"spec.scope\tstring\t\t" + `default="cluster" enum=["cluster", "namespace"]`},
	"sourceKind":                 {"spec.sourceKind\tstring\t\t" + `default="GitRepository" enum=["GitRepository", "Bucket", "AzureBlob", "OCIRepository"]`},
	"suspend":                    {"spec.suspend\tboolean"},
	"gitRepository":              {"spec.gitRepository\tobject"},
	"bucket":                     {"spec.bucket\tobject"},
	"azureBlob":                  {"spec.azureBlob\tobject"},
	"ociRepository":              {"spec.ociRepository\tobject"},
	"kustomizations":             {"spec.kustomizations[]\tobject"},
	"waitForReconciliation":      {"spec.waitForReconciliation\tboolean"},
	"reconciliationWaitDuration": {"spec.reconciliationWaitDuration\tstring"},
	"statuses":                   {"status.statuses[]\tobject"},
	"repositoryPublicKey":        {"status.repositoryPublicKey\tstring"},
	"sourceSyncedCommitId":       {"status.sourceSyncedCommitId\tstring"},
	"sourceUpdatedAt":            {"status.sourceUpdatedAt\tstring"},
	"statusUpdatedAt":            {"status.statusUpdatedAt\tstring"},
	"complianceState":            {"status.complianceState\tstring\t\t" + `enum=["Compliant", "Non-Compliant", "Pending", "Suspended", "Unknown"]`},
	"provisioningState":          {"status.provisioningState\tstring\t\t" + `enum=["Succeeded", "Failed", "Canceled", "Creating", "Updating", "Deleting"]`},
	"errorMessage":               {"status.errorMessage\tstring"},
	// Git.
	"gitRepository.url":                      {"spec.gitRepository.url\tstring\trequired"},
	"gitRepository.timeoutInSeconds":         {"spec.gitRepository.timeout\tstring\t\t" + `default="10m0s"`},
	"gitRepository.syncIntervalInSeconds":    {"spec.gitRepository.syncInterval\tstring\t\t" + `default="10m0s"`},
	"gitRepository.repositoryRef.branch":     {"spec.gitRepository.ref.branch\tstring"},
	"gitRepository.repositoryRef.tag":        {"spec.gitRepository.ref.tag\tstring"},
	"gitRepository.repositoryRef.semver":     {"spec.gitRepository.ref.semver\tstring"},
	"gitRepository.repositoryRef.commit":     {"spec.gitRepository.ref.commit\tstring"},
	"gitRepository.sshKnownHosts":            {"spec.gitRepository.sshKnownHosts\tstring"},
	"gitRepository.httpsUser":                {"spec.gitRepository.httpsUser\tstring"},
	"gitRepository.httpsCACert":              {"spec.gitRepository.httpsCACert\tstring"},
	"gitRepository.localAuthRef":             {"spec.gitRepository.localAuthRef\tstring"},
	"gitRepository.provider":                 {"spec.gitRepository.provider\tstring\t\t" + `enum=["Azure", "GitHub", "Generic"]`},
	"gitRepository.sparseCheckout":           {"spec.gitRepository.sparseCheckout[]\tstring"},
	"gitRepository.objectLevelIdentity":      identity("spec.gitRepository.objectLevelIdentity"),
	"gitRepository.additionalConfigurations": {"spec.gitRepository.additionalConfigurations{}\tany"},
	// Buckets.
	"bucket.url":                      {"spec.bucket.url\tstring\trequired"},
	"bucket.bucketName":               {"spec.bucket.bucketName\tstring\trequired"},
	"bucket.insecure":                 {"spec.bucket.insecure\tboolean"},
	"bucket.timeoutInSeconds":         {"spec.bucket.timeout\tstring\t\t" + `default="10m0s"`},
	"bucket.syncIntervalInSeconds":    {"spec.bucket.syncInterval\tstring\t\t" + `default="10m0s"`},
	"bucket.accessKey":                {"spec.bucket.accessKey\tstring"},
	"bucket.localAuthRef":             {"spec.bucket.localAuthRef\tstring"},
	"bucket.objectLevelIdentity":      identity("spec.bucket.objectLevelIdentity"),
	"bucket.additionalConfigurations": {"spec.bucket.additionalConfigurations{}\tany"},
	// Azure Blob Storage.
	"azureBlob.url":                                         {"spec.azureBlob.url\tstring\trequired"},
	"azureBlob.containerName":                               {"spec.azureBlob.containerName\tstring\trequired"},
	"azureBlob.timeoutInSeconds":                            {"spec.azureBlob.timeout\tstring\t\t" + `default="10m0s"`},
	"azureBlob.syncIntervalInSeconds":                       {"spec.azureBlob.syncInterval\tstring\t\t" + `default="10m0s"`},
	"azureBlob.localAuthRef":                                {"spec.azureBlob.localAuthRef\tstring"},
	"azureBlob.managedIdentity.clientId":                    {"spec.azureBlob.managedIdentity.clientId\tstring\trequired"},
	"azureBlob.servicePrincipal.clientId":                   {"spec.azureBlob.servicePrincipal.clientId\tstring\trequired"},
	"azureBlob.servicePrincipal.tenantId":                   {"spec.azureBlob.servicePrincipal.tenantId\tstring\trequired"},
	"azureBlob.servicePrincipal.clientCertificateSendChain": {"spec.azureBlob.servicePrincipal.clientCertificateSendChain\tboolean"},
	"azureBlob.objectLevelIdentity":                         identity("spec.azureBlob.objectLevelIdentity"),
	"azureBlob.additionalConfigurations":                    {"spec.azureBlob.additionalConfigurations{}\tany"},
	// OCI.
	"ociRepository.url":                       {"spec.ociRepository.url\tstring\trequired"},
	"ociRepository.timeoutInSeconds":          {"spec.ociRepository.timeout\tstring\t\t" + `default="10m0s"`},
	"ociRepository.syncIntervalInSeconds":     {"spec.ociRepository.syncInterval\tstring\t\t" + `default="10m0s"`},
	"ociRepository.repositoryRef.tag":         {"spec.ociRepository.ref.tag\tstring"},
	"ociRepository.repositoryRef.semver":      {"spec.ociRepository.ref.semver\tstring"},
	"ociRepository.repositoryRef.digest":      {"spec.ociRepository.ref.digest\tstring"},
	"ociRepository.layerSelector.mediaType":   {"spec.ociRepository.layerSelector.mediaType\tstring"},
	"ociRepository.layerSelector.operation":   {"spec.ociRepository.layerSelector.operation\tstring\t\t" + `enum=["extract", "copy"]`},
	"ociRepository.verify.provider":           {"spec.ociRepository.verify.provider\tstring"},
	"ociRepository.verify.verificationConfig": {"spec.ociRepository.verify.verificationConfig{}\tstring"},
	"ociRepository.verify.matchOidcIdentity":  {"spec.ociRepository.verify.matchOidcIdentity[].issuer\tstring\trequired", "spec.ociRepository.verify.matchOidcIdentity[].subject\tstring\trequired"},
	"ociRepository.insecure":                  {"spec.ociRepository.insecure\tboolean"},
	"ociRepository.useWorkloadIdentity":       {"spec.ociRepository.useWorkloadIdentity\tboolean"},
	"ociRepository.serviceAccountName":        {"spec.ociRepository.serviceAccountName\tstring"},
	"ociRepository.localAuthRef":              {"spec.ociRepository.localAuthRef\tstring"},
	"ociRepository.objectLevelIdentity":       identity("spec.ociRepository.objectLevelIdentity"),
	"ociRepository.additionalConfigurations":  {"spec.ociRepository.additionalConfigurations{}\tany"},
	// Kustomizations.
	"kustomizations.<key>":                    {"spec.kustomizations[].name\tstring\trequired"},
	"kustomizations.path":                     {"spec.kustomizations[].path\tstring"},
	"kustomizations.dependsOn":                {"spec.kustomizations[].dependsOn[]\tstring"},
	"kustomizations.timeoutInSeconds":         {"spec.kustomizations[].timeout\tstring\t\t" + `default="10m0s"`},
	"kustomizations.syncIntervalInSeconds":    {"spec.kustomizations[].syncInterval\tstring\t\t" + `default="10m0s"`},
	"kustomizations.retryIntervalInSeconds":   {"spec.kustomizations[].retryInterval\tstring"},
	"kustomizations.prune":                    {"spec.kustomizations[].prune\tboolean"},
	"kustomizations.force":                    {"spec.kustomizations[].force\tboolean"},
	"kustomizations.wait":                     {"spec.kustomizations[].wait\tboolean\t\tdefault=true"},
	"kustomizations.postBuild.substitute":     {"spec.kustomizations[].postBuild.substitute{}\tstring"},
	"kustomizations.postBuild.substituteFrom": {"spec.kustomizations[].postBuild.substituteFrom[].kind\tstring\trequired\t" + `enum=["ConfigMap", "Secret"]`, "spec.kustomizations[].postBuild.substituteFrom[].name\tstring\trequired", "spec.kustomizations[].postBuild.substituteFrom[].optional\tboolean"},
	"kustomizations.kubeConfig":               append(identity("spec.kustomizations[].kubeConfig.objectLevelIdentity"), "spec.kustomizations[].kubeConfig.clusterResourceId\tstring\trequired"),
	"kustomizations.validation":               {"spec.kustomizations[].validation\tstring\t\t" + `enum=["none", "client", "server"]`},
	"kustomizations.additionalConfigurations": {"spec.kustomizations[].additionalConfigurations{}\tany"},
	// Statuses.
	"statuses.name":                  {"status.statuses[].name\tstring\trequired"},
	"statuses.namespace":             {"status.statuses[].namespace\tstring\trequired"},
	"statuses.kind":                  {"status.statuses[].kind\tstring\trequired"},
	"statuses.complianceState":       {"status.statuses[].complianceState\tstring\trequired"},
	"statuses.appliedBy":             {"status.statuses[].appliedBy.name\tstring\trequired", "status.statuses[].appliedBy.namespace\tstring\trequired"},
	"statuses.statusConditions":      {"status.statuses[].statusConditions[].type\tstring\trequired", "status.statuses[].statusConditions[].status\tstring\trequired", "status.statuses[].statusConditions[].reason\tstring", "status.statuses[].statusConditions[].message\tstring", "status.statuses[].statusConditions[].lastTransitionTime\tstring"},
	"statuses.helmReleaseProperties": {"status.statuses[].helmReleaseProperties.lastRevisionApplied\tinteger", "status.statuses[].helmReleaseProperties.helmChartRef.name\tstring\trequired", "status.statuses[].helmReleaseProperties.helmChartRef.namespace\tstring\trequired", "status.statuses[].helmReleaseProperties.failureCount\tinteger", "status.statuses[].helmReleaseProperties.installFailureCount\tinteger", "status.statuses[].helmReleaseProperties.upgradeFailureCount\tinteger"},
	// Secrets.
	"configurationProtectedSettings": {"spec.protectedParametersSecretRef.name\tstring\trequired"},
}

// secrets are the properties whose value no spec may show.
var secrets = map[string]string{
	"configurationProtectedSettings.sshPrivateKey":         v1alpha1.SSHPrivateKey,
	"configurationProtectedSettings.httpsKey":              v1alpha1.HTTPSKey,
	"configurationProtectedSettings.bucketSecretKey":       v1alpha1.BucketSecretKey,
	"azureBlob.accountKey":                                 v1alpha1.AccountKey,
	"azureBlob.sasToken":                                   v1alpha1.SASToken,
	"azureBlob.servicePrincipal.clientSecret":              v1alpha1.ClientSecret,
	"azureBlob.servicePrincipal.clientCertificate":         v1alpha1.ClientCertificate,
	"azureBlob.servicePrincipal.clientCertificatePassword": v1alpha1.ClientCertificatePassword,
	"ociRepository.tlsConfig.clientCertificate":            v1alpha1.TLSClientCertificate,
	"ociRepository.tlsConfig.privateKey":                   v1alpha1.TLSPrivateKey,
	"ociRepository.tlsConfig.caCertificate":                v1alpha1.TLSCACertificate,
}

func identity(path string) []string {
	return []string{path + ".clientId\tstring\trequired", path + ".tenantId\tstring", path + ".serviceAccountName\tstring"}
}

// TestFluxConfigHasAPlaceForEveryProperty: nothing that Azure's resource can say
// is lost. What is secret is nowhere in the schema.
func TestFluxConfigHasAPlaceForEveryProperty(t *testing.T) {
	t.Parallel()
	have := lines(t, "fluxconfigs.clusterconfig.azure.com_v1alpha1")
	for _, property := range slices.Sorted(maps.Keys(places)) {
		for _, place := range places[property] {
			if !slices.ContainsFunc(have, func(line string) bool { return covers(line, place) }) {
				t.Errorf("%s: no line %q", property, place)
			}
		}
	}
	for property, key := range secrets {
		if slices.ContainsFunc(have, func(line string) bool {
			return strings.HasPrefix(line, "spec.") && strings.HasSuffix(path(line), "."+key)
		}) {
			t.Errorf("%s: %s is a field of the spec", property, key)
		}
	}
}

// covers tells whether a line of the schema says what is wanted; it may have more
// constraints.
func covers(line, want string) bool {
	have, wanted := strings.Split(line, "\t"), strings.Split(want, "\t")
	for i, column := range wanted {
		if i >= len(have) {
			return column == ""
		}
		switch {
		case i == 3:
			for _, constraint := range strings.Split(column, " ") {
				if !strings.Contains(have[i], constraint) {
					return false
				}
			}
		case i == 2 && column == "": // required is asked for where it is meant
		case have[i] != column:
			return false
		}
	}
	return true
}

// TestFluxConfigColumns: the table that users know, and compliance.
func TestFluxConfigColumns(t *testing.T) {
	t.Parallel()
	var names []string
	for _, line := range columns(lines(t, "fluxconfigs.clusterconfig.azure.com_v1alpha1")) {
		names = append(names, strings.Fields(line)[2])
	}
	if want := []string{"Scope", "URL", "Provision", "Compliance", "Age"}; !slices.Equal(names, want) {
		t.Errorf("columns are %v, want %v", names, want)
	}
}
