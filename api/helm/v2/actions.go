package v2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Install tells how to install the release.
type Install struct {
	// Timeout of each operation of the install, such as a hook; spec.timeout when it is
	// not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Strategy tells what to do after a failure.
	// +optional
	Strategy *InstallStrategy `json:"strategy,omitempty"`
	// Remediation tells how to get on after a failure.
	// +optional
	Remediation *InstallRemediation `json:"remediation,omitempty"`
	// DisableTakeOwnership refuses objects that are there and belong to no release, or
	// another one.
	// +optional
	DisableTakeOwnership bool `json:"disableTakeOwnership,omitempty"`
	// DisableWait does not wait until the objects are ready.
	// +optional
	DisableWait bool `json:"disableWait,omitempty"`
	// DisableWaitForJobs does not wait until Jobs are done.
	// +optional
	DisableWaitForJobs bool `json:"disableWaitForJobs,omitempty"`
	// DisableHooks leaves out the hooks of the chart.
	// +optional
	DisableHooks bool `json:"disableHooks,omitempty"`
	// DisableOpenAPIValidation leaves out checking the manifests against the server's schemas.
	// +optional
	DisableOpenAPIValidation bool `json:"disableOpenAPIValidation,omitempty"`
	// DisableSchemaValidation leaves out checking the values against the chart's schema.
	// +optional
	DisableSchemaValidation bool `json:"disableSchemaValidation,omitempty"`
	// Replace uses the name again of a release that was deleted and is in the history.
	// +optional
	Replace bool `json:"replace,omitempty"`
	// SkipCRDs is the older form of crds: Skip.
	// +optional
	SkipCRDs bool `json:"skipCRDs,omitempty"`
	// CRDs tells what becomes of the definitions that the chart has: Create (the
	// default) makes those that are not there, CreateReplace all, Skip none.
	// +kubebuilder:validation:Enum=Skip;Create;CreateReplace
	// +optional
	CRDs string `json:"crds,omitempty"`
	// CreateNamespace makes the target namespace if it is not there. It stays when the
	// release goes.
	// +optional
	CreateNamespace bool `json:"createNamespace,omitempty"`
	// ServerSideApply is how objects are applied; true when it is not set.
	// +optional
	ServerSideApply *bool `json:"serverSideApply,omitempty"`
}

// InstallStrategy tells what to do after a failed install.
// +kubebuilder:validation:XValidation:rule="!has(self.retryInterval) || self.name != 'RemediateOnFailure'",message="retryInterval is for the strategy RetryOnFailure"
type InstallStrategy struct {
	// Name: RemediateOnFailure does as remediation says, RetryOnFailure tries an
	// upgrade again and again.
	// +kubebuilder:validation:Enum=RemediateOnFailure;RetryOnFailure
	// +required
	Name string `json:"name"`
	// RetryInterval is the time until the next try; 5m when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`
}

// InstallRemediation tells how to get on after a failed install.
type InstallRemediation struct {
	// Retries is how many more times to try, without end when negative.
	// +optional
	Retries int `json:"retries,omitempty"`
	// IgnoreTestFailures does not remediate failed tests; spec.test.ignoreFailures
	// when it is not set.
	// +optional
	IgnoreTestFailures *bool `json:"ignoreTestFailures,omitempty"`
	// RemediateLastFailure remediates the last failure, too; false when it is not
	// set.
	// +optional
	RemediateLastFailure *bool `json:"remediateLastFailure,omitempty"`
}

// Upgrade tells how to upgrade the release.
type Upgrade struct {
	// Timeout of each operation of the upgrade, such as a hook; spec.timeout when it is
	// not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Strategy tells what to do after a failure.
	// +optional
	Strategy *UpgradeStrategy `json:"strategy,omitempty"`
	// Remediation tells how to get on after a failure.
	// +optional
	Remediation *UpgradeRemediation `json:"remediation,omitempty"`
	// ChartNameChangeStrategy tells what to do when the chart has another name:
	// Reinstall (the default) or InPlaceUpdate.
	// +kubebuilder:validation:Enum=InPlaceUpdate;Reinstall
	// +optional
	ChartNameChangeStrategy string `json:"chartNameChangeStrategy,omitempty"`
	// DisableTakeOwnership refuses objects that are there and belong to no release, or
	// another one.
	// +optional
	DisableTakeOwnership bool `json:"disableTakeOwnership,omitempty"`
	// DisableWait does not wait until the objects are ready.
	// +optional
	DisableWait bool `json:"disableWait,omitempty"`
	// DisableWaitForJobs does not wait until Jobs are done.
	// +optional
	DisableWaitForJobs bool `json:"disableWaitForJobs,omitempty"`
	// DisableHooks leaves out the hooks of the chart.
	// +optional
	DisableHooks bool `json:"disableHooks,omitempty"`
	// DisableOpenAPIValidation leaves out checking the manifests against the server's schemas.
	// +optional
	DisableOpenAPIValidation bool `json:"disableOpenAPIValidation,omitempty"`
	// DisableSchemaValidation leaves out checking the values against the chart's schema.
	// +optional
	DisableSchemaValidation bool `json:"disableSchemaValidation,omitempty"`
	// Force replaces objects whose change is refused. It is for client-side apply.
	// +optional
	Force bool `json:"force,omitempty"`
	// PreserveValues merges the values into those of the last release.
	// +optional
	PreserveValues bool `json:"preserveValues,omitempty"`
	// CleanupOnFail deletes what a failed upgrade has created.
	// +optional
	CleanupOnFail bool `json:"cleanupOnFail,omitempty"`
	// CRDs tells what becomes of the definitions that the chart has: Create (the
	// default) makes those that are not there, CreateReplace all, Skip none.
	// +kubebuilder:validation:Enum=Skip;Create;CreateReplace
	// +optional
	CRDs string `json:"crds,omitempty"`
	// ServerSideApply is how objects are applied; auto (the default) as it was before.
	// +kubebuilder:validation:Enum=enabled;disabled;auto
	// +optional
	ServerSideApply string `json:"serverSideApply,omitempty"`
}

// UpgradeStrategy tells what to do after a failed upgrade.
// +kubebuilder:validation:XValidation:rule="!has(self.retryInterval) || self.name == 'RetryOnFailure'",message="retryInterval is for the strategy RetryOnFailure"
type UpgradeStrategy struct {
	// Name: RemediateOnFailure does as remediation says, RetryOnFailure tries an
	// upgrade again and again.
	// +kubebuilder:validation:Enum=RemediateOnFailure;RetryOnFailure
	// +required
	Name string `json:"name"`
	// RetryInterval is the time until the next try; 5m when it is not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	RetryInterval *metav1.Duration `json:"retryInterval,omitempty"`
}

// UpgradeRemediation tells how to get on after a failed upgrade.
type UpgradeRemediation struct {
	// Retries is how many more times to try, without end when negative.
	// +optional
	Retries int `json:"retries,omitempty"`
	// IgnoreTestFailures does not remediate failed tests; spec.test.ignoreFailures
	// when it is not set.
	// +optional
	IgnoreTestFailures *bool `json:"ignoreTestFailures,omitempty"`
	// RemediateLastFailure remediates the last failure, too; when it is not set,
	// only if there are retries.
	// +optional
	RemediateLastFailure *bool `json:"remediateLastFailure,omitempty"`
	// Strategy is how to remediate; rollback when it is not set.
	// +kubebuilder:validation:Enum=rollback;uninstall
	// +optional
	Strategy string `json:"strategy,omitempty"`
}

// Test tells whether and how to run the tests of the chart.
type Test struct {
	// Enable runs the tests after each install and upgrade.
	// +optional
	Enable bool `json:"enable,omitempty"`
	// Timeout of each operation of the tests, such as a hook; spec.timeout when it is
	// not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// IgnoreFailures counts a release as good whose tests failed.
	// +optional
	IgnoreFailures bool `json:"ignoreFailures,omitempty"`
	// Filters select tests.
	// +optional
	Filters []TestFilter `json:"filters,omitempty"`
}

// TestFilter selects a test, or leaves it out.
type TestFilter struct {
	// Name of the test.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// Exclude leaves the test out.
	// +optional
	Exclude bool `json:"exclude,omitempty"`
}

// Rollback tells how to roll the release back.
type Rollback struct {
	// Timeout of each operation of the rollback, such as a hook; spec.timeout when it is
	// not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// DisableWait does not wait until the objects are ready.
	// +optional
	DisableWait bool `json:"disableWait,omitempty"`
	// DisableWaitForJobs does not wait until Jobs are done.
	// +optional
	DisableWaitForJobs bool `json:"disableWaitForJobs,omitempty"`
	// DisableHooks leaves out the hooks of the chart.
	// +optional
	DisableHooks bool `json:"disableHooks,omitempty"`
	// Recreate has no effect any more.
	// +optional
	Recreate bool `json:"recreate,omitempty"`
	// Force replaces objects whose change is refused. It is for client-side apply.
	// +optional
	Force bool `json:"force,omitempty"`
	// CleanupOnFail deletes what a failed rollback has created.
	// +optional
	CleanupOnFail bool `json:"cleanupOnFail,omitempty"`
	// ServerSideApply is how objects are applied; auto (the default) as it was before.
	// +kubebuilder:validation:Enum=enabled;disabled;auto
	// +optional
	ServerSideApply string `json:"serverSideApply,omitempty"`
}

// Uninstall tells how to uninstall the release.
type Uninstall struct {
	// Timeout of each operation of the uninstall, such as a hook; spec.timeout when it is
	// not set.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// DisableHooks leaves out the hooks of the chart.
	// +optional
	DisableHooks bool `json:"disableHooks,omitempty"`
	// KeepHistory keeps the records of the release.
	// +optional
	KeepHistory bool `json:"keepHistory,omitempty"`
	// DisableWait does not wait until the objects are gone.
	// +optional
	DisableWait bool `json:"disableWait,omitempty"`
	// DeletionPropagation is the API server's propagation policy.
	// +kubebuilder:validation:Enum=background;foreground;orphan
	// +kubebuilder:default:=background
	// +optional
	DeletionPropagation string `json:"deletionPropagation,omitempty"`
}
