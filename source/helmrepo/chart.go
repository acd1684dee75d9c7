package helmrepo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/oci"
	"github.com/plumb-gitops/plumb/source/store"
	"github.com/plumb-gitops/plumb/source/transport"
)

// Chart is the archive of a chart, in the store.
type Chart struct {
	source.Archive
	// Verified is as in source.Snapshot.
	Verified string
}

// The media types of the layers of a chart in a registry.
const (
	contentType    = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	provenanceType = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// Download brings the archive of a version into a batch. One that was downloaded
// with the same spec is not downloaded again: by its digest, or, where the index
// has none, while the index stays the same. A registry is asked where the tag leads.
// With a keyring, the archive has a provenance file signed by one of its keys.
//
// The errors are those of Fetch; VerifyError when the provenance is missing or wrong.
// An archive that is not what the index says is an error of its own.
func (c *Client) Download(ctx context.Context, b *store.Batch, s Spec, v ChartVersion) (Chart, error) {
	bring := c.bring
	if s.inRegistry() {
		bring = c.pull
	}
	found, err := bring(ctx, b, s, v)
	if err != nil {
		return Chart{}, transport.Classified(ctx, transport.Redacted(s.URL), err)
	}
	return found, nil
}

func (c *Client) pull(ctx context.Context, b *store.Batch, s Spec, v ChartVersion) (Chart, error) {
	got, err := c.options.OCI.Pull(ctx, b, s.registry(v.Name), oci.Ref{Tag: v.tag}, contentType, provenanceType)
	if err != nil {
		return Chart{}, err
	}
	content, _ := got.Layer(contentType) // Pull makes sure of it
	found := Chart{source.Archive{Hash: content.Hash, Size: content.Size}, got.Verified}
	if len(s.Keyring) == 0 {
		return found, nil
	}
	signed, ok := got.Layer(provenanceType)
	if !ok {
		return Chart{}, &source.VerifyError{Err: fmt.Errorf("chart %q version %s comes without provenance", v.Name, v.Version)}
	}
	provenance, err := c.store.Read(signed.Hash)
	if err != nil {
		return Chart{}, err
	}
	found.Verified, err = verify(provenance, s.Keyring, v.Name+"-"+v.Version+".tgz", found.Hash)
	return found, err
}

// bring downloads a chart, unless it was downloaded before.
func (c *Client) bring(ctx context.Context, b *store.Batch, s Spec, v ChartVersion) (Chart, error) {
	r, err := c.repository(s)
	if err != nil {
		return Chart{}, err
	}
	done, err := c.waitFor(ctx, r, v)
	if err != nil {
		return Chart{}, err
	}
	defer done()
	if known, ok := c.downloaded(b, r, s, v); ok {
		return known, nil
	}
	var failed error
	for _, address := range v.URLs { // the later ones are mirrors
		found, err := c.attempt(ctx, b, r, s, v, address)
		if err == nil {
			return found, c.remember(r, s, v, found)
		}
		if failed == nil {
			failed = fmt.Errorf("chart %q version %s: %w", v.Name, v.Version, transport.Classified(ctx, transport.Redacted(address), err))
		}
	}
	return Chart{}, failed
}

// attempt downloads a chart from one address.
func (c *Client) attempt(ctx context.Context, b *store.Batch, r *repository, s Spec, v ChartVersion, address string) (Chart, error) {
	take := c.file
	if strings.HasPrefix(address, "oci://") {
		take = c.artifact(s)
	}
	blob, err := take(ctx, b, r, address, "the archive")
	if err != nil {
		return Chart{}, err
	}
	if v.Digest != "" && v.Digest != blob.Hash {
		return Chart{}, fmt.Errorf("the archive has the digest %s, in the index it is %s: the server holds another than it says, or the index is out of date", blob.Hash, v.Digest)
	}
	found := Chart{Archive: source.Archive{Hash: blob.Hash, Size: blob.Size}}
	if len(s.Keyring) > 0 {
		found.Verified, err = c.provenance(ctx, b, r, s, address, blob.Hash)
	}
	return found, err
}

// provenance downloads and verifies the file beside an archive.
func (c *Client) provenance(ctx context.Context, b *store.Batch, r *repository, s Spec, address, hash string) (string, error) {
	at, err := url.Parse(address)
	if err != nil || at.Scheme == "oci" {
		return "", unverified("the index leads to %s, where provenance is not looked for", transport.Redacted(address))
	}
	at.Path, at.RawPath = at.Path+".prov", ""
	blob, err := c.file(ctx, b, r, at.String(), "the provenance")
	if missing := (*source.NotFoundError)(nil); errors.As(err, &missing) {
		return "", &source.VerifyError{Err: fmt.Errorf("there is no provenance beside the archive: %w", missing.Err)}
	}
	if err != nil {
		return "", err
	}
	content, err := c.store.Read(blob.Hash)
	if err != nil {
		return "", err
	}
	return verify(content, s.Keyring, path.Base(address), hash)
}

// artifact takes an archive out of a registry that an index leads to, as some do.
// Credentials are for the index's server, unless they are to go anywhere.
func (c *Client) artifact(s Spec) func(ctx context.Context, b *store.Batch, r *repository, address, what string) (store.Blob, error) {
	return func(ctx context.Context, b *store.Batch, _ *repository, address, _ string) (store.Blob, error) {
		at := strings.LastIndex(address, ":")
		if at <= strings.LastIndex(address, "/") {
			return store.Blob{}, fmt.Errorf("%s: the index leads to no tag of a registry", transport.Redacted(address))
		}
		o := oci.Spec{URL: address[:at], Insecure: s.Insecure, Transport: s.Transport}
		if s.PassCredentials {
			o.Auth.Username, o.Auth.Password = s.Username, s.Password
		}
		got, err := c.options.OCI.Pull(ctx, b, o, oci.Ref{Tag: address[at+1:]}, contentType)
		content, _ := got.Layer(contentType)
		return content.Blob, err
	}
}

// file downloads a file.
func (c *Client) file(ctx context.Context, b *store.Batch, r *repository, address, what string) (store.Blob, error) {
	answer, err := get(ctx, r.http, address, state{})
	if err != nil {
		return store.Blob{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return store.Blob{}, transport.Refused(address, answer.StatusCode)
	}
	blob, err := b.Put(ctx, answer.Body, bound(c.options.Limits.ArchiveBytes))
	if errors.Is(err, store.ErrTooLarge) {
		err = c.options.Limits.ArchiveTooLarge(what)
	}
	return blob, err
}

// chartKey names the note about a download. What one identity was let to see, the
// others have to ask for themselves, also if they know its digest.
func chartKey(r *repository, s Spec, v ChartVersion) string {
	since := v.Digest
	if since == "" {
		since = "index " + v.Index
	}
	return key("chart", r.key, v.Name, v.Version, since, string(bytes.Join(s.Keyring, []byte{0})))
}

func (c *Client) remember(r *repository, s Spec, v ChartVersion, found Chart) error {
	note, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return c.store.SaveNote(chartKey(r, s, v), note)
}

// downloaded is a chart that was downloaded before. It is read to its end: a
// damaged one is not taken for good.
func (c *Client) downloaded(b *store.Batch, r *repository, s Spec, v ChartVersion) (found Chart, ok bool) {
	note, err := c.store.LoadNote(chartKey(r, s, v))
	if err != nil || json.Unmarshal(note, &found) != nil || !b.Reuse(found.Hash) {
		return Chart{}, false
	}
	content, err := c.store.Open(found.Hash)
	if err != nil {
		return Chart{}, false
	}
	defer content.Close()
	_, err = io.Copy(io.Discard, content)
	return found, err == nil
}

// waitFor takes the turn at one chart, so that several who need it download it once.
func (c *Client) waitFor(ctx context.Context, r *repository, v ChartVersion) (done func(), err error) {
	return c.turns.wait(ctx, r.key+"\x00"+v.Name+"\x00"+v.Version)
}
