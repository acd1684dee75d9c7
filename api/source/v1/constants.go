package v1

// Condition types of sources. Those that say what went wrong are absent while
// nothing is wrong.
const (
	ArtifactInStorageCondition      = "ArtifactInStorage" // True when a snapshot can be used
	ArtifactOutdatedCondition       = "ArtifactOutdated"  // True while a newer revision is being fetched
	SourceVerifiedCondition         = "SourceVerified"    // there only if the spec asks for verification
	FetchFailedCondition            = "FetchFailed"       // True when the last fetch failed
	BuildFailedCondition            = "BuildFailed"       // True when the last chart could not be packaged
	StorageOperationFailedCondition = "StorageOperationFailed"
)

// Condition and event reasons that sources of every kind have.
const (
	AuthenticationFailedReason         = "AuthenticationFailed"
	URLInvalidReason                   = "URLInvalid"
	VerificationErrorReason            = "VerificationError"
	InvalidProviderConfigurationReason = "InvalidProviderConfiguration"
	StorageOperationFailedReason       = "StorageOperationFailed"
	ReadOperationFailedReason          = "ReadOperationFailed" // what is stored cannot be read any more
	NewArtifactReason                  = "NewArtifact"         // event: another revision is in use
	ArtifactUpToDateReason             = "ArtifactUpToDate"    // event: nothing new
	NewRevisionReason                  = "NewRevision"         // of ArtifactOutdated
	EmptySourceReason                  = "EmptySource"         // the source has no files any more
)

// Reasons of a GitRepository.
const (
	GitOperationSucceededReason = "GitOperationSucceeded" // event: nothing new
	GitOperationFailedReason    = "GitOperationFailed"
	IncludeUnavailableReason    = "IncludeUnavailable" // an included repository has nothing yet
)

// Reasons of an OCIRepository.
const (
	OCIPullFailedReason           = "OCIArtifactPullFailed"
	OCILayerOperationFailedReason = "OCIArtifactLayerOperationFailed"
)

// Reasons of a Bucket.
const (
	BucketOperationFailedReason   = "BucketOperationFailed"
	InvalidSTSConfigurationReason = "InvalidSTSConfiguration"
)

// Reasons of a HelmRepository.
const (
	IndexationFailedReason = "IndexationFailed"
)

// Reasons of a HelmChart.
const (
	ChartPullSucceededReason     = "ChartPullSucceeded"    // the chart is used as it came
	ChartPackageSucceededReason  = "ChartPackageSucceeded" // the chart was packaged, or its values were merged
	NewChartReason               = "NewChart"              // of ArtifactOutdated
	NoSourceArtifactReason       = "NoSourceArtifact"      // the source has nothing yet
	SourceUnavailableReason      = "SourceUnavailable"     // there is no such source
	UnsupportedSourceKindReason  = "UnsupportedSourceKind"
	InvalidChartReferenceReason  = "InvalidChartReference" // no such chart or version, or not a version
	ChartPullErrorReason         = "ChartPullError"
	ChartPackageErrorReason      = "ChartPackageError"
	ChartVerificationErrorReason = "ChartVerificationError"
	DependencyBuildErrorReason   = "DependencyBuildError"
	MetadataPatchErrorReason     = "MetadataPatchError"
	ValuesFilesErrorReason       = "ValuesFilesError"
)

// Values of spec.reconcileStrategy of a HelmChart.
const (
	ReconcileStrategyChartVersion = "ChartVersion" // another version in Chart.yaml is another chart
	ReconcileStrategyRevision     = "Revision"     // so is another revision of the source
)

// Providers of credentials.
const (
	ProviderGeneric = "generic"
	ProviderAWS     = "aws"
	ProviderAzure   = "azure"
	ProviderGCP     = "gcp"
	ProviderGitHub  = "github" // GitRepositories only
	ProviderLDAP    = "ldap"   // spec.sts of Buckets only
)

// Operations of a layer selector.
const (
	LayerExtract = "extract" // the layer is an archive of the files; the default
	LayerCopy    = "copy"    // the layer is the artifact as it is
)

// Providers of signatures.
const (
	VerifyCosign   = "cosign"
	VerifyNotation = "notation"
)
