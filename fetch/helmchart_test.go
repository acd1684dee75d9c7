package fetch_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/testhelm"
	"github.com/plumb-gitops/plumb/internal/testregistry"
	"github.com/plumb-gitops/plumb/source"
)

// ownChart is a source with the chart own, and what files add to it.
func ownChart(t *testing.T, files map[string]string) source.Snapshot {
	t.Helper()
	tree := source.MemoryTree{
		"charts/own/Chart.yaml": "apiVersion: v2\nname: own\nversion: 0.3.0\n", "charts/own/values.yaml": "a: 1\nb: 2\n", "prod.yaml": "b: 3\n",
	}
	maps.Copy(tree, files)
	var digests source.Digests
	digest, err := digests.Of(tree)
	if err != nil {
		t.Fatal(err)
	}
	return source.Snapshot{Revision: "main@sha1:0123456789abcdef0123456789abcdef01234567", Digest: digest, Tree: tree}
}

func TestFieldsOfAHelmChart(t *testing.T) {
	t.Parallel()
	packed := func(version string) []byte {
		return testhelm.Chart(t, "app", version, map[string]string{"values.yaml": "a: 1\n", "prod.yaml": "a: 2\n"})
	}
	index, library := testhelm.Start(t, testhelm.Options{}), testhelm.Start(t, testhelm.Options{Username: "jo", Password: "planted"})
	index.Publish(t, map[string][]byte{"app-1.0.0.tgz": packed("1.0.0"), "app-1.1.0.tgz": packed("1.1.0"), "app-2.0.0.tgz": packed("2.0.0")})
	library.Publish(t, map[string][]byte{"lib-2.0.0.tgz": testhelm.Chart(t, "lib", "2.0.0", nil)})
	registry := testregistry.Start(t, testregistry.Options{})
	signer, stranger := newCosigner(t), newCosigner(t)
	signer.sign(t, registry, "charts/app", registry.Push(t, "charts/app", "1.0.0", testregistry.Artifact{
		Type: chartConfig, Layers: []testregistry.Layer{{MediaType: chartLayer, Content: packed("1.0.0")}},
	}))
	repo := func(url string, change func(*sourcev1.HelmRepository)) *sourcev1.HelmRepository {
		r := &sourcev1.HelmRepository{Spec: sourcev1.HelmRepositorySpec{URL: url}}
		r.Namespace, r.Name = "apps", "library"
		change(r)
		return r
	}
	as := func(*sourcev1.HelmRepository) {}
	indexed := source.Snapshot{Revision: "sha256:1", Digest: "sha256:1", Tree: source.MemoryTree{"index.yaml": ""}}
	cluster := charted{
		namespace: namespace{secrets: map[string]map[string][]byte{
			"basic": data("username", "jo", "password", "planted"), "keys": {"team.pub": signer.public}, "others": {"team.pub": stranger.public},
			"root": {"trusted_root.json": nobodysRoot(t)}, "nothing": data("key", "planted"),
		}},
		objects: map[string]fetch.Object{
			"HelmRepository/index": repo(index.URL, as), "HelmRepository/new": repo(index.URL, as),
			"HelmRepository/registry": repo("oci://"+registry.Address+"/charts", func(r *sourcev1.HelmRepository) { r.Spec.Type, r.Spec.Insecure = "oci", true }),
			"GitRepository/git":       &sourcev1.GitRepository{}, "Bucket/bucket": &sourcev1.Bucket{}, "GitRepository/needy": &sourcev1.GitRepository{}, "GitRepository/new": &sourcev1.GitRepository{},
		},
		snapshots: map[string]source.Snapshot{
			"HelmRepository/index": indexed, "GitRepository/git": ownChart(t, nil), "Bucket/bucket": ownChart(t, nil),
			"GitRepository/needy": ownChart(t, map[string]string{"charts/own/Chart.yaml": "apiVersion: v2\nname: own\nversion: 0.3.0\ndependencies:\n  - {name: lib, version: 2.x, repository: \"" + library.URL + "/\"}\n"}),
		},
		repos: []*sourcev1.HelmRepository{repo(index.URL, as), repo(library.URL, func(r *sourcev1.HelmRepository) { r.Spec.SecretRef = named("basic") })},
	}
	with := func(kind, name, chart string, change func(*sourcev1.HelmChartSpec)) sourcev1.HelmChartSpec {
		s := sourcev1.HelmChartSpec{Chart: chart, Version: "*", SourceRef: sourcev1.LocalHelmChartSourceReference{Kind: kind, Name: name}}
		change(&s)
		return s
	}
	version := func(v string) sourcev1.HelmChartSpec {
		return with("HelmRepository", "index", "app", func(s *sourcev1.HelmChartSpec) { s.Version = v })
	}
	git := func(change func(*sourcev1.HelmChartSpec)) sourcev1.HelmChartSpec {
		return with("GitRepository", "git", "./charts/own", change)
	}
	signed := func(v sourcev1.OCIRepositoryVerification) sourcev1.HelmChartSpec {
		return with("HelmRepository", "registry", "app", func(s *sourcev1.HelmChartSpec) { s.Verify = &v })
	}
	nothing := func(*sourcev1.HelmChartSpec) {}
	badRef, badChart := sourcev1.InvalidChartReferenceReason, sourcev1.ChartVerificationErrorReason
	const atCommit = "main@sha1:0123456789abcdef0123456789abcdef01234567"
	for label, c := range map[string]struct {
		spec     sourcev1.HelmChartSpec
		revision string // a failure when ""
		from     string // the revision of the source
		used     []string
		reason   string // Ready's, of a success too
		text     string // of a failure; of a success, the values
	}{
		"sourceRef HelmRepository":        {version("*"), "2.0.0", "sha256:1", nil, sourcev1.ChartPullSucceededReason, "a: 1\n"},
		"sourceRef HelmRepository, oci":   {with("HelmRepository", "registry", "app", nothing), "1.0.0", "", nil, sourcev1.ChartPullSucceededReason, "a: 1\n"},
		"sourceRef GitRepository":         {git(nothing), "0.3.0", atCommit, nil, sourcev1.ChartPackageSucceededReason, "a: 1\nb: 2\n"},
		"sourceRef Bucket":                {with("Bucket", "bucket", "charts/own", nothing), "0.3.0", atCommit, nil, sourcev1.ChartPackageSucceededReason, "a: 1\nb: 2\n"},
		"sourceRef, absent":               {with("Bucket", "absent", "x", nothing), "", "", nil, sourcev1.SourceUnavailableReason, "Bucket/apps/absent not found"},
		"sourceRef, empty":                {with("GitRepository", "new", "x", nothing), "", "", nil, sourcev1.NoSourceArtifactReason, "source 'GitRepository/apps/new' has no artifact yet"},
		"sourceRef, no index yet":         {with("HelmRepository", "new", "app", nothing), "", "", nil, sourcev1.NoSourceArtifactReason, "has no artifact yet"},
		"chart, absent":                   {with("HelmRepository", "index", "none", nothing), "", "", nil, badRef, "none"},
		"chart, absent folder":            {with("GitRepository", "git", "charts/none", nothing), "", "", nil, badRef, "charts/none"},
		"chart with dependencies":         {with("GitRepository", "needy", "charts/own", nothing), "0.3.0", atCommit, nil, sourcev1.ChartPackageSucceededReason, "a: 1\nb: 2\n"},
		"version":                         {version("1.0.0"), "1.0.0", "sha256:1", nil, sourcev1.ChartPullSucceededReason, "a: 1\n"},
		"version, a range":                {version("1.x"), "1.1.0", "sha256:1", nil, sourcev1.ChartPullSucceededReason, "a: 1\n"},
		"version, absent":                 {version("9.x"), "", "", nil, badRef, "9.x"},
		"reconcileStrategy ChartVersion":  {git(func(s *sourcev1.HelmChartSpec) { s.ReconcileStrategy = "ChartVersion" }), "0.3.0", atCommit, nil, sourcev1.ChartPackageSucceededReason, "a: 1\nb: 2\n"},
		"reconcileStrategy Revision":      {git(func(s *sourcev1.HelmChartSpec) { s.ReconcileStrategy = "Revision" }), "0.3.0+0123456789ab", atCommit, nil, sourcev1.ChartPackageSucceededReason, "a: 1\nb: 2\n"},
		"valuesFiles":                     {git(func(s *sourcev1.HelmChartSpec) { s.ValuesFiles = []string{"charts/own/values.yaml", "prod.yaml"} }), "0.3.0", atCommit, nil, sourcev1.ChartPackageSucceededReason, "a: 1\nb: 3\n"},
		"valuesFiles of a HelmRepository": {with("HelmRepository", "index", "app", func(s *sourcev1.HelmChartSpec) { s.ValuesFiles = []string{"prod.yaml"} }), "2.0.0+4", "sha256:1", nil, sourcev1.ChartPackageSucceededReason, "a: 2\n"},
		"valuesFiles, absent":             {git(func(s *sourcev1.HelmChartSpec) { s.ValuesFiles = []string{"none.yaml"} }), "", "", nil, badRef, "set spec.ignoreMissingValuesFiles"},
		"ignoreMissingValuesFiles": {git(func(s *sourcev1.HelmChartSpec) {
			s.ValuesFiles, s.IgnoreMissingValuesFiles = []string{"none.yaml", "prod.yaml"}, true
		}), "0.3.0", atCommit, []string{"prod.yaml"}, sourcev1.ChartPackageSucceededReason, "b: 3\n"},
		"verify":                     {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", SecretRef: named("keys")}), "1.0.0", "", nil, sourcev1.ChartPullSucceededReason, "a: 1\n"},
		"verify.secretRef of others": {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", SecretRef: named("others")}), "", "", nil, badChart, "no signature that spec.verify accepts"},
		"verify.secretRef, absent":   {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", SecretRef: named("absent")}), "", "", nil, sourcev1.AuthenticationFailedReason, "spec.verify.secretRef: Secret/apps/absent not found"},
		"verify.provider notation":   {signed(sourcev1.OCIRepositoryVerification{Provider: "notation", SecretRef: named("keys")}), "", "", nil, sourcev1.AuthenticationFailedReason, "the Secret needs the key trustpolicy.json"},
		"verify.matchOIDCIdentity":   {signed(sourcev1.OCIRepositoryVerification{Provider: "cosign", TrustedRootSecretRef: named("root"), MatchOIDCIdentity: []sourcev1.OIDCIdentityMatch{{Issuer: "(", Subject: "jo@"}}}), "", "", nil, badRef, `verify.matchOIDCIdentity with issuer "(" and subject "jo@"`},
		"verify of what is in an index": {with("HelmRepository", "index", "app", func(s *sourcev1.HelmChartSpec) {
			s.Verify = &sourcev1.OCIRepositoryVerification{SecretRef: named("keys")}
		}), "", "", nil, "", "set keyringSecretRef in the HelmRepository"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			_, kind := both(t)
			obj := &sourcev1.HelmChart{Spec: c.spec}
			obj.Namespace, obj.Name, obj.Generation, obj.UID = "apps", "chart", 4, "uid"
			obj.Status.ObservedValuesFiles = []string{"before.yaml"}
			found, err := kind.Fetch(t.Context(), cluster, obj, source.Snapshot{})
			if c.revision == "" {
				wantReason(t, kind, err, c.reason, c.text)
				return
			}
			if err != nil || found.Revision != c.revision {
				t.Fatalf("the chart is %q, %v, want %s", found.Revision, err, c.revision)
			}
			name := obj.Status.ObservedChartName
			if values, err := found.Tree.Read(name + "/values.yaml"); err != nil || string(values) != c.text {
				t.Errorf("values are %q, %v, want %q", values, err, c.text)
			}
			if c.spec.SourceRef.Name == "needy" {
				if _, err := found.Tree.Read("own/charts/lib/Chart.yaml"); err != nil {
					if _, other := found.Tree.Read("own/charts/lib-2.0.0.tgz"); other != nil {
						t.Error("the dependency is missing:", errors.Join(err, other))
					}
				}
			}
			if (c.spec.Verify != nil) != (found.Verified != "") {
				t.Errorf("verified: %q", found.Verified)
			}
			wantChartStatus(t, kind, obj, found, sourcev1.HelmChartStatus{
				ObservedSourceArtifactRevision: c.from, ObservedValuesFiles: c.used, ObservedChartName: name,
			}, c.reason)
		})
	}
}

// wantChartStatus checks that what the status says leads back to the chart.
func wantChartStatus(t *testing.T, kind fetch.Kind, obj *sourcev1.HelmChart, found source.Snapshot, want sourcev1.HelmChartStatus, reason string) {
	t.Helper()
	obj.Status.Artifact = &meta.Artifact{Revision: found.Revision, Digest: "sha256:" + found.Archive.Hash, URL: "http://artifacts/helmchart/apps/chart/1.tar.gz"}
	got, message := kind.Succeeded(obj, found)
	if got != reason || !strings.Contains(message, " '"+want.ObservedChartName+"' chart with version '"+found.Revision+"'") {
		t.Errorf("it says %s: %s, want %s", got, message, reason)
	}
	if name := strings.TrimPrefix(obj.Spec.Chart, "./charts/"); want.ObservedChartName != strings.TrimPrefix(name, "charts/") {
		t.Errorf("the name is %q", want.ObservedChartName)
	}
	want.Artifact, want.URL = obj.Status.Artifact, "http://artifacts/helmchart/apps/chart/latest.tar.gz"
	if diff := cmp.Diff(want, obj.Status); diff != "" {
		t.Errorf("the status:\n%s", diff)
	}
	again, err := kind.Open(t.Context(), namespace{}, obj)
	if err != nil || again.Revision != found.Revision || again.Digest != found.Digest {
		t.Errorf("it opens as %s %s, %v, want %s %s", again.Revision, again.Digest, err, found.Revision, found.Digest)
	}
}
