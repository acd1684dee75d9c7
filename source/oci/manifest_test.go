package oci

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
)

var some = "sha256:" + strings.Repeat("ab", 32)

// FuzzManifest: whatever a registry calls a manifest, what comes of it is sound.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"c","digest":"` + some + `","size":2},"layers":[{"mediaType":"l","digest":"` + some + `","size":3}],"annotations":{"a":"b"}}`,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"m","digest":"` + some + `","size":4,"platform":{"os":"linux","architecture":"amd64"}}]}`,
		`{"layers":[{"digest":"sha512:00","size":-1}]}`, `{"manifests":[{}]}`, `{"schemaVersion":1}`, `[]`, `null`, ``, `{"layers":[{"digest":"sha256:../../../etc/passwd"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := parse(content)
		if err != nil {
			return
		}
		all := p.children
		if p.image != nil {
			all = p.image.Layers
			if d, err := (LayerSelector{}).choose(p.image); (err == nil) != (len(all) > 0) || err == nil && d.Digest != all[0].Digest {
				t.Errorf("the first layer is %v, %v", d, err)
			}
		} else if _, err := p.child(); (err == nil) != (len(all) > 0) {
			t.Errorf("the child: %v", err)
		}
		for _, d := range all {
			if raw, err := hex.DecodeString(d.Digest.Hex); err != nil || len(raw) != sha256.Size || d.Size < 0 {
				t.Errorf("descriptor %+v", d)
			}
		}
	})
}

// FuzzSimpleSignature: whatever stands where a signature is expected, it is
// refused or becomes a bundle, and nothing else happens.
func FuzzSimpleSignature(f *testing.F) {
	on, err := v1.NewHash(some)
	if err != nil {
		f.Fatal(err)
	}
	good := fmt.Sprintf(`{"critical":{"image":{"docker-manifest-digest":%q}}}`, some)
	entry := `{"SignedEntryTimestamp":"AA==","Payload":{"body":"` + base64.StdEncoding.EncodeToString([]byte(`{"kind":"hashedrekord","apiVersion":"0.0.1"}`)) + `","integratedTime":1,"logIndex":1,"logID":"00"}}`
	f.Add([]byte(good), "AA==", "", "", "")
	f.Add([]byte(good), "AA==", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", entry, `{"SignedRFC3161Timestamp":"AA=="}`)
	f.Add([]byte(`{`), "!", "x", "{", "{")
	f.Fuzz(func(t *testing.T, payload []byte, signature, certificate, entry, timestamp string) {
		b, err := simpleBundle(payload, map[string]string{signatureOf: signature, certificateOf: certificate, logEntryOf: entry, timestampOf: timestamp}, on)
		if (b == nil) == (err == nil) {
			t.Errorf("%v, %v", b, err)
		}
	})
}

func TestIsTar(t *testing.T) {
	t.Parallel()
	packed := testregistry.TarGz(t, map[string]string{"a": "b"})
	for name, tc := range map[string]struct {
		content []byte
		want    bool
	}{
		"a packed tar":       {packed, true},
		"nothing":            {nil, false},
		"a text":             {bytes.Repeat([]byte("text "), 1000), false},
		"gzip, broken":       {[]byte{0x1f, 0x8b, 0}, false},
		"a packed tar's end": {packed[:20], false},
	} {
		if got := isTar(bytes.NewReader(tc.content)); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestPullSecretFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		keys             []string
		host, repository string
		want             string // the key that counts
	}{
		"the host":                   {[]string{"ghcr.io"}, "ghcr.io", "a/b", "ghcr.io"},
		"the host with its port":     {[]string{"reg:5000"}, "reg:5000", "a", "reg:5000"},
		"another port":               {[]string{"reg:5000"}, "reg:5001", "a", ""},
		"a URL":                      {[]string{"https://ghcr.io/v2/"}, "ghcr.io", "a", "https://ghcr.io/v2/"},
		"Docker Hub's old name":      {[]string{"https://index.docker.io/v1/"}, "index.docker.io", "library/a", "https://index.docker.io/v1/"},
		"Docker Hub's short name":    {[]string{"docker.io"}, "index.docker.io", "library/a", "docker.io"},
		"the longest path":           {[]string{"ghcr.io", "ghcr.io/a/b", "ghcr.io/a"}, "ghcr.io", "a/b/c", "ghcr.io/a/b"},
		"a path ends at a slash":     {[]string{"ghcr.io/a"}, "ghcr.io", "ab", ""},
		"any of a domain":            {[]string{"*.azurecr.io"}, "x.azurecr.io", "a", "*.azurecr.io"},
		"a star is one label":        {[]string{"*.azurecr.io"}, "x.y.azurecr.io", "a", ""},
		"the name before the domain": {[]string{"*.azurecr.io", "x.azurecr.io"}, "x.azurecr.io", "a", "x.azurecr.io"},
		"none":                       {nil, "ghcr.io", "a", ""},
	} {
		var entries []string
		for _, key := range tc.keys {
			entries = append(entries, fmt.Sprintf(`%q: {"auth": %q}`, key, base64.StdEncoding.EncodeToString([]byte("user:"+key))))
		}
		auth, err := AuthFromSecret(map[string][]byte{".dockerconfigjson": []byte(`{"auths": {` + strings.Join(entries, ",") + `}}`)})
		if err != nil {
			t.Fatal(err)
		}
		all, err := auth.entries()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := choose(all, tc.host, tc.repository); got.Password != tc.want {
			t.Errorf("%s: got %q, want %q", name, got.Password, tc.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	ok := map[string]error{}
	_, ok["a pull secret"] = AuthFromSecret(map[string][]byte{".dockerconfigjson": []byte(`{"auths":{}}`)})
	_, ok["an old pull secret"] = AuthFromSecret(map[string][]byte{".dockercfg": []byte(`{"ghcr.io":{"auth":"YTpi"}}`)})
	_, ok["username and password"] = AuthFromSecret(map[string][]byte{"username": []byte("a"), "password": []byte("b")})
	_, ok["keys"] = VerifyFromSecret(Cosign, map[string][]byte{"a.pub": nil, "readme": nil})
	_, ok["notation"] = VerifyFromSecret(Notation, map[string][]byte{"trustpolicy.json": []byte("{}"), "ca.pem": nil})
	for name, err := range ok {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]error{}
	_, bad["nothing"] = AuthFromSecret(nil)
	_, bad["no pull secret"] = AuthFromSecret(map[string][]byte{".dockerconfigjson": []byte(`secret`)})
	_, bad["no old pull secret"] = AuthFromSecret(map[string][]byte{".dockercfg": []byte(`secret`)})
	_, bad["no credentials in it"] = AuthFromSecret(map[string][]byte{".dockerconfigjson": []byte(`{"auths":{"a":{"auth":"secret"}}}`)})
	_, bad["no keys"] = VerifyFromSecret(Cosign, map[string][]byte{"a.pem": nil})
	_, bad["no policy"] = VerifyFromSecret(Notation, map[string][]byte{"ca.pem": nil})
	_, bad["no authority"] = VerifyFromSecret(Notation, map[string][]byte{"trustpolicy.json": []byte("{}")})
	_, bad["no trust root"] = TrustRootFromSecret(nil)
	_, bad["a broken trust root"] = TrustRootFromSecret(map[string][]byte{"trusted_root.json": []byte("{")})
	for name, err := range bad {
		if !errors.As(err, new(*source.InvalidError)) || strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
