package v2

// HelmReleaseKind is the kind's name.
const HelmReleaseKind = "HelmRelease"

// FieldManager is the name under which objects are applied.
const FieldManager = "helm-controller"

// Labels that name the HelmRelease to which an object belongs.
const (
	NameLabel      = "helm.toolkit.fluxcd.io/name"
	NamespaceLabel = "helm.toolkit.fluxcd.io/namespace"
)

// Annotations on a HelmRelease that ask for something once. They count with the
// same value as meta.ReconcileRequestAnnotation, and come back in the status.
const (
	ForceRequestAnnotation = "reconcile.fluxcd.io/forceAt" // release again, though nothing changed
	ResetRequestAnnotation = "reconcile.fluxcd.io/resetAt" // forget the failures
)

// DriftDetectionAnnotation on an object, or label, with the value "disabled"
// leaves out what others change about it.
const DriftDetectionAnnotation = "helm.toolkit.fluxcd.io/driftDetection"

// Condition types of a HelmRelease.
const (
	ReleasedCondition    = "Released"    // how the last install or upgrade ended
	TestSuccessCondition = "TestSuccess" // how the last tests ended
	DriftedCondition     = "Drifted"     // True while others' changes are there, which driftDetection looks for
	RemediatedCondition  = "Remediated"  // how the last rollback or uninstall ended
)

// Condition and event reasons of a HelmRelease.
const (
	InstallSucceededReason   = "InstallSucceeded"
	InstallFailedReason      = "InstallFailed"
	UpgradeSucceededReason   = "UpgradeSucceeded"
	UpgradeFailedReason      = "UpgradeFailed"
	TestSucceededReason      = "TestSucceeded"
	TestFailedReason         = "TestFailed"
	RollbackSucceededReason  = "RollbackSucceeded"
	RollbackFailedReason     = "RollbackFailed"
	UninstallSucceededReason = "UninstallSucceeded"
	UninstallFailedReason    = "UninstallFailed"
	ArtifactFailedReason     = "ArtifactFailed"
	ValuesErrorReason        = "ValuesError"
	DependencyNotReadyReason = "DependencyNotReady"
	RetriesExceededReason    = "RetriesExceeded"
	HealthCheckFailedReason  = "HealthCheckFailed"
	DriftDetectedReason      = "DriftDetected"
	NoDriftDetectedReason    = "NoDriftDetected"
	DriftCorrectedReason     = "DriftCorrected"
)

// Keys of annotations on the events of a HelmRelease.
const (
	RevisionEventKey   = "helm.toolkit.fluxcd.io/revision"
	TokenEventKey      = "helm.toolkit.fluxcd.io/token" // digest of the values
	AppVersionEventKey = "helm.toolkit.fluxcd.io/app-version"
	OCIDigestEventKey  = "helm.toolkit.fluxcd.io/oci-digest"
)

// Values of crds, of an install or upgrade.
const (
	CRDsSkip          = "Skip"
	CRDsCreate        = "Create" // the default: those that are not there yet
	CRDsCreateReplace = "CreateReplace"
)

// Values of spec.driftDetection.mode.
const (
	DriftDetectionEnabled  = "enabled"
	DriftDetectionWarn     = "warn"
	DriftDetectionDisabled = "disabled"
)

// Strategies of an install or upgrade.
const (
	RemediateOnFailure = "RemediateOnFailure"
	RetryOnFailure     = "RetryOnFailure"
)

// Strategies of remediation after an upgrade.
const (
	RemediateByRollback  = "rollback"
	RemediateByUninstall = "uninstall"
)

// Values of spec.upgrade.chartNameChangeStrategy.
const (
	ChartNameReinstall     = "Reinstall" // the default
	ChartNameInPlaceUpdate = "InPlaceUpdate"
)

// Values of serverSideApply, of an upgrade or rollback.
const (
	ServerSideApplyEnabled  = "enabled"
	ServerSideApplyDisabled = "disabled"
	ServerSideApplyAuto     = "auto" // the default: as the release was applied before
)

// Values of spec.postRenderStrategy.
const (
	PostRenderNoHooks  = "nohooks"
	PostRenderCombined = "combined" // the default
	PostRenderSeparate = "separate"
)

// Values of status.lastAttemptedReleaseAction.
const (
	ActionInstall = "install"
	ActionUpgrade = "upgrade"
)
