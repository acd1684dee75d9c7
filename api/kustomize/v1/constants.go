package v1

// KustomizationKind is the kind's name.
const KustomizationKind = "Kustomization"

// FieldManager is the name under which objects are applied.
const FieldManager = "kustomize-controller"

// Labels that name the Kustomization to which an object belongs.
const (
	NameLabel      = "kustomize.toolkit.fluxcd.io/name"
	NamespaceLabel = "kustomize.toolkit.fluxcd.io/namespace"
)

// Annotations (the first two may be labels too) with which an object steers how
// it is handled.
const (
	ReconcileAnnotation = "kustomize.toolkit.fluxcd.io/reconcile" // disabled: leave it alone
	PruneAnnotation     = "kustomize.toolkit.fluxcd.io/prune"     // disabled: don't delete it
	ForceAnnotation     = "kustomize.toolkit.fluxcd.io/force"     // enabled: recreate it where a field can't be changed
)

// Values of those annotations.
const (
	DisabledValue = "disabled"
	EnabledValue  = "enabled"
)

// PolicyAnnotation on an object, or a label of that name, says how it is applied:
// Override (the default), Merge, IfNotPresent or Ignore.
const PolicyAnnotation = "kustomize.toolkit.fluxcd.io/ssa"

// DriftAnnotation on a Kustomization says what to do about what others change:
// with the value warn it is only reported.
const (
	DriftAnnotation = "plumb-gitops.github.io/drift"
	DriftWarn       = "warn"
)

// SubstituteAlways is the strategy that substitutes without variables, too.
const SubstituteAlways = "Always"

// Keys of annotations on the events of a Kustomization.
const (
	RevisionEventKey = "kustomize.toolkit.fluxcd.io/revision"
)

// HealthyCondition tells whether the health checks passed, where there are any.
const HealthyCondition = "Healthy"

// Condition and event reasons of a Kustomization.
const (
	ReconciliationSucceededReason = "ReconciliationSucceeded"
	ReconciliationFailedReason    = "ReconciliationFailed"
	ArtifactFailedReason          = "ArtifactFailed"
	BuildFailedReason             = "BuildFailed"
	DependencyNotReadyReason      = "DependencyNotReady"
	PruneFailedReason             = "PruneFailed"
	HealthCheckFailedReason       = "HealthCheckFailed"
	AccessDeniedReason            = "AccessDenied"   // a reference to another namespace
	DriftCorrectedReason          = "DriftCorrected" // event: what somebody changed was put back
	DriftDetectedReason           = "DriftDetected"  // event: what somebody changed was left as it is
)

// Values of spec.deletionPolicy.
const (
	DeletionPolicyMirrorPrune        = "MirrorPrune"
	DeletionPolicyDelete             = "Delete"
	DeletionPolicyWaitForTermination = "WaitForTermination"
	DeletionPolicyOrphan             = "Orphan"
)
