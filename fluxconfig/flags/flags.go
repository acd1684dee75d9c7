// Package flags turns the flags of plumb config into what a FluxConfig is to
// become: the object, or a patch of it, and the parameters that nobody should
// read. It decides and touches nothing; files are read by whoever calls it.
package flags

import (
	"slices"
	"strings"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// Form is how a flag takes its value.
type Form int

// Forms of flags.
const (
	Text   Form = iota // one word
	Switch             // true or false, and true where only the flag is given
	File               // the path of a file; its content counts
	Words              // several words, and the flag several times
)

// Flag is a flag of plumb config create and update.
type Flag struct {
	Name    string
	Short   string
	Aliases []string
	Default string   // at creation, as --help shows it
	Kinds   []string // words of --kind that it belongs to; nil for all of them
	Values  []string // what it can be; nil for anything
	Form    Form
	Usage   string
	// Creation tells that it cannot be changed later.
	Creation bool

	way string // the way in that it belongs to, see ways
	put func(c *change, value string) error
}

// Given are the flags of one command line: by the flag's name its words, where it
// was given more than once one after the other. For a File it is the content.
type Given map[string][]string

// Words of --kind.
const (
	Git    = "git"
	Bucket = "bucket"
	Blob   = "azblob"
	OCI    = "oci"
)

// kind is a kind of source.
type kind struct {
	word     string   // of --kind
	source   string   // spec.sourceKind
	field    string   // of the spec
	prefixes []string // that its URL can have
	container
}

// container is what a source has beside a URL to tell where its files are.
type container struct{ flag, field string }

var kinds = []kind{
	{Git, clusterconfigv1.GitRepositorySource, "gitRepository", []string{"https://", "http://", "ssh://", "git@"}, container{}},
	{Bucket, clusterconfigv1.BucketSource, "bucket", []string{"https://", "http://"}, container{"bucket-name", "bucketName"}},
	{Blob, clusterconfigv1.AzureBlobSource, "azureBlob", []string{"https://", "http://"}, container{"container-name", "containerName"}},
	{OCI, clusterconfigv1.OCIRepositorySource, "ociRepository", []string{"oci://"}, container{}},
}

func kindOf(match func(kind) bool) kind {
	if i := slices.IndexFunc(kinds, match); i >= 0 {
		return kinds[i]
	}
	return kind{}
}

// Sources are the flags of create, and those that are not only for creation of
// update as well.
var Sources = slices.Concat(general, gitFlags, bucketFlags, blobFlags, ociFlags)

var general = []Flag{
	{Name: "scope", Short: "s", Default: clusterconfigv1.ScopeCluster, Values: []string{clusterconfigv1.ScopeCluster, clusterconfigv1.ScopeNamespace}, Creation: true,
		Usage: "what may be changed, of the whole cluster or only of the namespace", put: spec("scope")},
	{Name: "kind", Default: Git, Values: []string{Git, Bucket, Blob, OCI}, Usage: "what the source is"},
	{Name: "url", Short: "u", Usage: "address of the source", put: address},
	{Name: "timeout", Usage: "how long one look at the source may take (10m when it is not set)", put: duration("timeout")},
	{Name: "interval", Aliases: []string{"sync-interval"}, Usage: "time between two looks at the source (10m when it is not set)", put: duration("syncInterval")},
	{Name: "local-auth-ref", Aliases: []string{"local-ref"}, Usage: "Secret in the namespace with the credentials; it replaces all others", way: "local", put: source("localAuthRef")},
	{Name: "suspend", Form: Switch, Usage: "leave the source and all kustomizations alone", put: truth("suspend")},
	{Name: "kustomization", Short: "k", Form: Words, Usage: "what to apply, in words such as name=apps path=./apps prune=true dependsOn=infra; repeatable"},
}

var gitFlags = []Flag{
	{Name: "branch", Kinds: []string{Git}, Usage: "branch to follow", put: source("ref.branch")},
	{Name: "tag", Kinds: []string{Git, OCI}, Usage: "tag to use", put: source("ref.tag")},
	{Name: "semver", Kinds: []string{Git, OCI}, Usage: "range of versions to take the newest tag of", put: source("ref.semver")},
	{Name: "commit", Kinds: []string{Git}, Usage: "commit to use, alone or with its branch", put: source("ref.commit")},
	{Name: "provider", Kinds: []string{Git}, Values: []string{"generic", "azure", "github"}, Usage: "who gives the credentials", put: provider},
	{Name: "ssh-private-key", Kinds: []string{Git}, Usage: "private key in PEM, in base64", way: "ssh", put: encoded(privateKey, ", or the file itself with --ssh-private-key-file")},
	{Name: "ssh-private-key-file", Kinds: []string{Git}, Form: File, Usage: "file with the private key in PEM", way: "ssh", put: content(privateKey)},
	{Name: "known-hosts", Kinds: []string{Git}, Usage: "lines of a known_hosts file, in base64", way: "ssh", put: encoded(knownHosts, ", or the file itself with --known-hosts-file")},
	{Name: "known-hosts-file", Kinds: []string{Git}, Form: File, Usage: "known_hosts file", way: "ssh", put: content(knownHosts)},
	{Name: "https-user", Kinds: []string{Git}, Usage: "name of the user", way: "https", put: source("httpsUser")},
	{Name: "https-key", Kinds: []string{Git}, Usage: "password or token of the user", way: "https", put: protected(clusterconfigv1.HTTPSKey)},
	{Name: "https-ca-cert", Kinds: []string{Git}, Usage: "certificates in PEM of who signed the server's, in base64", way: "https", put: encoded(authority, ", or the file itself with --https-ca-cert-file")},
	{Name: "https-ca-cert-file", Kinds: []string{Git}, Form: File, Usage: "file with certificates in PEM of who signed the server's", way: "https", put: content(authority)},
}

var bucketFlags = []Flag{
	{Name: "bucket-name", Kinds: []string{Bucket}, Usage: "name of the bucket", put: source("bucketName")},
	{Name: "bucket-insecure", Kinds: []string{Bucket}, Form: Switch, Usage: "allow a server without TLS", put: sourceTruth("insecure")},
	{Name: "bucket-access-key", Kinds: []string{Bucket}, Usage: "public half of the key pair", way: "keys", put: source("accessKey")},
	{Name: "bucket-secret-key", Kinds: []string{Bucket}, Usage: "secret half of the key pair", way: "keys", put: protected(clusterconfigv1.BucketSecretKey)},
}

var blobFlags = []Flag{
	{Name: "container-name", Kinds: []string{Blob}, Usage: "name of the container", put: source("containerName")},
	{Name: "account-key", Kinds: []string{Blob}, Usage: "key of the storage account", way: "account", put: protected(clusterconfigv1.AccountKey)},
	{Name: "sas-token", Kinds: []string{Blob}, Usage: "token of a shared access signature", way: "sas", put: protected(clusterconfigv1.SASToken)},
	{Name: "mi-client-id", Aliases: []string{"managed-identity-client-id"}, Kinds: []string{Blob}, Usage: "client id of the managed identity", way: "identity", put: source("managedIdentity.clientId")},
	{Name: "sp-client-id", Aliases: []string{"service-principal-client-id"}, Kinds: []string{Blob}, Usage: "client id of the service principal", way: "principal", put: source("servicePrincipal.clientId")},
	{Name: "sp-tenant-id", Aliases: []string{"service-principal-tenant-id"}, Kinds: []string{Blob}, Usage: "tenant of the service principal", way: "principal", put: source("servicePrincipal.tenantId")},
	{Name: "sp-client-secret", Aliases: []string{"service-principal-client-secret"}, Kinds: []string{Blob}, Usage: "secret of the service principal", way: "principal", put: principalSecret},
	{Name: "sp-client-cert", Aliases: []string{"service-principal-client-certificate"}, Kinds: []string{Blob}, Usage: "certificate of the service principal with its key, PEM or PKCS12, in base64", way: "principal", put: encoded(principalCertificate, "")},
	{Name: "sp-cert-password", Aliases: []string{"service-principal-client-certificate-password"}, Kinds: []string{Blob}, Usage: "password of that certificate", way: "principal", put: protected(clusterconfigv1.ClientCertificatePassword)},
	{Name: "sp-cert-send-chain", Aliases: []string{"service-principal-client-certificate-send-chain"}, Kinds: []string{Blob}, Form: Switch, Usage: "send the chain along with the certificate", way: "principal", put: sourceTruth("servicePrincipal.clientCertificateSendChain")},
}

var ociFlags = []Flag{
	{Name: "digest", Kinds: []string{OCI}, Usage: "digest of the artifact, as in sha256:...", put: source("ref.digest")},
	{Name: "oci-media-type", Aliases: []string{"oci-layer-selector-media-type"}, Kinds: []string{OCI}, Usage: "media type of the layer to use (the first layer when it is not set)", put: source("layerSelector.mediaType")},
	{Name: "oci-operation", Aliases: []string{"oci-layer-selector-operation"}, Kinds: []string{OCI}, Values: []string{"extract", "copy"}, Usage: "what to do with the layer (extract when it is not set)", put: source("layerSelector.operation")},
	{Name: "oci-insecure", Kinds: []string{OCI}, Form: Switch, Usage: "allow a registry without TLS", put: sourceTruth("insecure")},
	{Name: "tls-ca-certificate", Kinds: []string{OCI}, Usage: "certificates in PEM of who signed the registry's, in base64", put: encoded(secret(clusterconfigv1.TLSCACertificate), "")},
	{Name: "tls-client-certificate", Kinds: []string{OCI}, Usage: "certificate in PEM to show to the registry, in base64", put: encoded(secret(clusterconfigv1.TLSClientCertificate), "")},
	{Name: "tls-private-key", Kinds: []string{OCI}, Usage: "key in PEM of that certificate, in base64", put: encoded(secret(clusterconfigv1.TLSPrivateKey), "")},
	{Name: "service-account-name", Kinds: []string{OCI}, Usage: "account whose pull secrets or identity are used", put: source("serviceAccountName")},
	{Name: "use-workload-identity", Kinds: []string{OCI}, Form: Switch, Usage: "ask with the workload identity", put: sourceTruth("useWorkloadIdentity")},
	{Name: "verification-provider", Kinds: []string{OCI}, Values: []string{"cosign", "notation"}, Usage: "how the artifact is signed (cosign when it is not set)", put: source("verify.provider")},
	{Name: "verification-config", Kinds: []string{OCI}, Form: Words, Usage: "what to verify with, in words such as cosign.pub=BASE64", put: verification},
	{Name: "match-oidc-identity", Kinds: []string{OCI}, Form: Words, Usage: `who may have signed, in words such as {"issuer":"...","subject":"..."}`, put: signer},
}

// named is the flag of a name.
func named(name string) Flag {
	return Sources[slices.IndexFunc(Sources, func(f Flag) bool { return f.Name == name })]
}

// belongs tells whether a flag is for a kind of source.
func (f Flag) belongs(word string) bool { return f.Kinds == nil || slices.Contains(f.Kinds, word) }

// valid are the flags for a kind of source, in one line.
func valid(word string) string {
	var out []string
	for _, f := range Sources {
		if f.Kinds != nil && f.belongs(word) {
			out = append(out, "--"+f.Name)
		}
	}
	return strings.Join(out, ", ")
}
