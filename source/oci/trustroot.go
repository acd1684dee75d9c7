package oci

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"

	"github.com/plumb-gitops/plumb/source/transport"
)

// readTrustRoot reads a trusted_root.json.
func readTrustRoot(content []byte) (*root.TrustedRoot, error) {
	trusted, err := root.NewTrustedRootFromJSON(content)
	if err != nil {
		return nil, invalid("%s: %w: make it with cosign trusted-root create", trustRootKey, err)
	}
	return trusted, nil
}

// publicRoot is the trust root of the public Sigstore instance, kept for a day.
type publicRoot struct {
	mu      sync.Mutex
	trusted root.TrustedMaterial
	until   time.Time
}

// get fetches the trust root by TUF, from what the library has built in.
func (p *publicRoot) get(ctx context.Context) (root.TrustedMaterial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trusted != nil && time.Now().Before(p.until) {
		return p.trusted, nil
	}
	download := fetcher.NewDefaultFetcher()
	download.SetHTTPClient(&http.Client{Transport: within{ctx}})
	trusted, err := root.FetchTrustedRootWithOptions(tuf.DefaultOptions().WithDisableLocalCache().WithFetcher(download))
	if err != nil {
		text := transport.Describe(err)
		if text == "" {
			text = err.Error()
		}
		return nil, fmt.Errorf("the trust root of the public Sigstore instance: %s: where there is no way to it, name another in spec.verify.trustedRootSecretRef", text)
	}
	p.trusted, p.until = trusted, time.Now().Add(24*time.Hour)
	return trusted, nil
}

// within makes requests end with a context; the library has none for them.
type within struct{ ctx context.Context } //nolint:containedctx // it lives as long as one fetch

// RoundTrip implements http.RoundTripper.
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(r.WithContext(w.ctx))
}
