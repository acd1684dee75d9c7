package fluxconfig

import (
	"net/url"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

const azure = "azure"

// source is the source object. What it refers to is left in g.beside.
func (g *generation) source() (*unstructured.Unstructured, error) {
	s := g.fc.Spec
	switch {
	case s.SourceKind == clusterconfigv1.GitRepositorySource && s.GitRepository != nil:
		return g.git(s.GitRepository)
	case s.SourceKind == clusterconfigv1.BucketSource && s.Bucket != nil:
		return g.bucket(s.Bucket)
	case s.SourceKind == clusterconfigv1.AzureBlobSource && s.AzureBlob != nil:
		return g.blob(s.AzureBlob)
	case s.SourceKind == clusterconfigv1.OCIRepositorySource && s.OCIRepository != nil:
		return g.oci(s.OCIRepository)
	default:
		return nil, g.invalid("sourceKind is %q, and what belongs to it is not there", s.SourceKind)
	}
}

// finish puts the parts together.
func (g *generation) finish(kind string, typed map[string]any, t clusterconfigv1.Timing, free map[string]apiextensionsv1.JSON) (*unstructured.Unstructured, error) {
	typed["interval"] = duration(t.SyncInterval)
	typed["timeout"] = duration(t.Timeout)
	setTrue(typed, "suspend", g.fc.Spec.Suspend)
	extra, err := decode(free)
	if err != nil {
		return nil, g.invalid("additionalConfigurations of the source: %w", err)
	}
	out := g.object("source.toolkit.fluxcd.io/v1", kind, g.fc.Name)
	if err := specify(out, merge(extra, typed)); err != nil {
		return nil, g.invalid("the source: %w", err)
	}
	return out, nil
}

// authenticate refers to the Secret of the same namespace that localAuthRef names,
// or else to one with what is given, if anything is.
func (g *generation) authenticate(spec map[string]any, a clusterconfigv1.Access, data map[string][]byte) {
	name := a.LocalAuthRef
	if name == "" && len(data) > 0 {
		name = AuthName(g.fc)
		g.beside = append(g.beside, g.secret(name, data))
	}
	if name != "" {
		spec["secretRef"] = map[string]any{"name": name}
	}
}

// asIdentity acts with the workload identity of this source.
func (g *generation) asIdentity(spec map[string]any, a clusterconfigv1.Access) {
	if a.ObjectLevelIdentity != nil {
		spec["provider"] = azure
		spec["serviceAccountName"] = g.identity(a.ObjectLevelIdentity, g.fc.Name+"-"+strings.ToLower(g.fc.Spec.SourceKind))
	}
}

func (g *generation) git(r *clusterconfigv1.GitRepositoryDefinition) (*unstructured.Unstructured, error) {
	address := canonical(r.URL)
	spec := map[string]any{"url": address}
	ref, err := g.gitRef(r.Ref)
	if err != nil {
		return nil, err
	}
	spec["ref"] = ref
	if r.Provider != "" && r.Provider != "Generic" {
		spec["provider"] = strings.ToLower(r.Provider)
	}
	if len(r.SparseCheckout) > 0 {
		folders := make([]any, len(r.SparseCheckout))
		for i, folder := range r.SparseCheckout {
			folders[i] = folder
		}
		spec["sparseCheckout"] = folders
	}
	g.asIdentity(spec, r.Access)
	var data map[string][]byte
	if r.LocalAuthRef == "" {
		if data, err = g.gitAuth(r, address); err != nil {
			return nil, err
		}
	}
	g.authenticate(spec, r.Access, data)
	return g.finish(clusterconfigv1.GitRepositorySource, spec, r.Timing, r.AdditionalConfigurations)
}

func (g *generation) gitRef(r *clusterconfigv1.GitRef) (map[string]any, error) {
	ref := map[string]any{}
	if r != nil {
		set(ref, "branch", r.Branch)
		set(ref, "tag", r.Tag)
		set(ref, "semver", r.SemVer)
		set(ref, "commit", r.Commit)
	}
	_, branch := ref["branch"]
	_, commit := ref["commit"]
	if len(ref) == 1 || len(ref) == 2 && branch && commit {
		return ref, nil
	}
	return nil, g.invalid("gitRepository.ref: give one of branch, tag, semver and commit, or a commit with its branch")
}

// canonical is the URL in the one form that sources know: git@host:path, as ssh
// has it, is ssh://git@host/path.
func canonical(address string) string {
	rest, short := strings.CutPrefix(address, "git@")
	if !short {
		return address
	}
	host, path, _ := strings.Cut(rest, ":")
	return "ssh://git@" + host + "/" + strings.TrimPrefix(path, "/")
}

func (g *generation) bucket(b *clusterconfigv1.BucketDefinition) (*unstructured.Unstructured, error) {
	server, err := url.Parse(b.URL)
	if err != nil || server.Host == "" || strings.Trim(server.Path, "/") != "" || server.User != nil || server.RawQuery != "" {
		return nil, g.invalid("bucket.url: give the address of the server alone, as in https://s3.example.com")
	}
	if server.Scheme == "http" && !b.Insecure {
		return nil, g.invalid("bucket.url is without TLS (http://): give https://, or set bucket.insecure to true")
	}
	spec := map[string]any{"provider": "generic", "endpoint": server.Host, "bucketName": b.BucketName}
	setTrue(spec, "insecure", b.Insecure)
	if b.ObjectLevelIdentity != nil {
		return nil, g.invalid("bucket.objectLevelIdentity: an identity of Azure opens azureBlob, and no bucket that speaks S3")
	}
	secret := g.in.Protected[clusterconfigv1.BucketSecretKey]
	if b.LocalAuthRef == "" && (b.AccessKey == "") != (len(secret) == 0) {
		return nil, g.invalid("a key pair has two halves: give both bucket.accessKey and the protected parameter %s", clusterconfigv1.BucketSecretKey)
	}
	var data map[string][]byte
	if b.AccessKey != "" {
		data = map[string][]byte{"accesskey": []byte(b.AccessKey), "secretkey": secret}
	}
	g.authenticate(spec, b.Access, data)
	return g.finish(clusterconfigv1.BucketSource, spec, b.Timing, b.AdditionalConfigurations)
}
