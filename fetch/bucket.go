package fetch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/blob"
	"github.com/plumb-gitops/plumb/source/bucket"
	"github.com/plumb-gitops/plumb/source/transport"
)

// buckets are Buckets: those of Azure are containers, the others speak S3.
type buckets struct {
	s3    *bucket.Client
	azure *blob.Client
}

// GVK implements Kind.
func (buckets) GVK() schema.GroupVersionKind {
	return sourcev1.GroupVersion.WithKind(sourcev1.BucketKind)
}

// New implements Kind.
func (buckets) New() Object { return &sourcev1.Bucket{} }

// Failure implements Kind.
func (buckets) Failure() string { return sourcev1.BucketOperationFailedReason }

// Fetch implements Kind.
func (k buckets) Fetch(ctx context.Context, c Cluster, obj Object, last source.Snapshot) (snapshot source.Snapshot, err error) {
	b, _ := obj.(*sourcev1.Bucket)
	if b.Spec.Provider == sourcev1.ProviderAzure {
		spec, err := blobSpec(ctx, c, b)
		if err != nil {
			return snapshot, err
		}
		snapshot, _, err = k.azure.Fetch(ctx, spec, last.Revision)
		return snapshot, badAddress(err)
	}
	spec, err := bucketSpec(ctx, c, b)
	if err != nil {
		return snapshot, err
	}
	snapshot, _, err = k.s3.Fetch(ctx, spec, last.Revision)
	return snapshot, badAddress(err)
}

// Open implements Kind.
func (k buckets) Open(_ context.Context, _ Cluster, obj Object) (source.Snapshot, error) {
	b, _ := obj.(*sourcev1.Bucket)
	if b.Spec.Provider == sourcev1.ProviderAzure {
		return k.azure.Open(blobLocation(b), b.Status.Artifact.Revision)
	}
	return k.s3.Open(bucketLocation(b), b.Status.Artifact.Revision)
}

// Succeeded implements Kind.
func (buckets) Succeeded(obj Object, s source.Snapshot) (reason, message string) {
	b, _ := obj.(*sourcev1.Bucket)
	b.Status.ObservedIgnore = b.Spec.Ignore
	b.Status.URL = latest(b.Status.Artifact)
	return stored(s)
}

// owner is who fetches.
func owner(b *sourcev1.Bucket) string { return b.Namespace + "/" + b.Name }

// blobLocation is what a spec says by itself, without what it refers to.
func blobLocation(b *sourcev1.Bucket) blob.Spec {
	return blob.Spec{
		Endpoint: b.Spec.Endpoint, Container: b.Spec.BucketName, Prefix: b.Spec.Prefix,
		Insecure: b.Spec.Insecure, Ignore: b.Spec.Ignore, Owner: owner(b),
	}
}

func blobSpec(ctx context.Context, c Cluster, b *sourcev1.Bucket) (blob.Spec, error) {
	spec := blobLocation(b)
	var err error
	if spec.Transport, err = connection(ctx, c, b.Spec.CertSecretRef, b.Spec.ProxySecretRef); err != nil {
		return spec, err
	}
	err = secret(ctx, c, "spec.secretRef", b.Spec.SecretRef, func(data map[string][]byte) (err error) {
		spec.Auth, err = blob.AuthFromSecret(data)
		return err
	})
	if err == nil {
		spec.Identity, err = identity(ctx, c, b.Spec.ServiceAccountName)
	}
	return spec, err
}

// bucketLocation is what a spec says by itself, without what it refers to.
func bucketLocation(b *sourcev1.Bucket) bucket.Spec {
	return bucket.Spec{
		Provider: b.Spec.Provider, Endpoint: b.Spec.Endpoint, Bucket: b.Spec.BucketName, Prefix: b.Spec.Prefix, Region: b.Spec.Region,
		Insecure: b.Spec.Insecure, Ignore: b.Spec.Ignore, Owner: owner(b),
	}
}

func bucketSpec(ctx context.Context, c Cluster, b *sourcev1.Bucket) (bucket.Spec, error) {
	spec := bucketLocation(b)
	var err error
	if spec.Transport, err = connection(ctx, c, b.Spec.CertSecretRef, b.Spec.ProxySecretRef); err != nil {
		return spec, err
	}
	err = secret(ctx, c, "spec.secretRef", b.Spec.SecretRef, func(data map[string][]byte) (err error) {
		spec.Keys, err = bucket.KeysFromSecret(spec.Provider, data)
		return err
	})
	if err != nil {
		return spec, err
	}
	if spec.STS, err = stsSpec(ctx, c, b, spec.Transport.Proxy); err != nil {
		return spec, err
	}
	if spec.Provider != "" && spec.Provider != sourcev1.ProviderGeneric {
		spec.Identity, err = identity(ctx, c, b.Spec.ServiceAccountName)
	}
	return spec, err
}

// stsSpec is where credentials for a limited time come from, nil for nowhere.
func stsSpec(ctx context.Context, c Cluster, b *sourcev1.Bucket, proxy *transport.Proxy) (*bucket.STS, error) {
	from := b.Spec.STS
	if from == nil {
		return nil, nil
	}
	// The definition says the same; one of the toolkit's that is still installed may not.
	if goes := map[string]string{sourcev1.ProviderAWS: bucket.STSAWS, sourcev1.ProviderGeneric: bucket.STSLDAP, "": bucket.STSLDAP}; goes[b.Spec.Provider] != from.Provider {
		return nil, failed(sourcev1.InvalidSTSConfigurationReason, &source.InvalidError{Err: fmt.Errorf(
			"spec.sts.provider is '%s': it is 'aws' with spec.provider 'aws', 'ldap' with 'generic', and not for others", from.Provider)})
	}
	out := &bucket.STS{Provider: from.Provider, Endpoint: from.Endpoint}
	err := secret(ctx, c, "spec.sts.certSecretRef", from.CertSecretRef, func(data map[string][]byte) error {
		return transport.TLSFromSecret(data, &out.Transport)
	})
	if err != nil {
		return nil, err
	}
	out.Transport.Proxy = proxy
	return out, secret(ctx, c, "spec.sts.secretRef", from.SecretRef, func(data map[string][]byte) error {
		return bucket.LDAPFromSecret(data, out)
	})
}
