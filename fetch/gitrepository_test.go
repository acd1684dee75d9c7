package fetch_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/internal/testgit"
	"github.com/plumb-gitops/plumb/internal/testtls"
	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/cloud"
)

// sources is a namespace with repositories that others may include.
type sources struct {
	namespace
	repos map[string]*sourcev1.GitRepository
	trees map[string]source.Tree
}

// Source implements fetch.Cluster.
func (s sources) Source(_ context.Context, kind, name string) (fetch.Object, source.Snapshot, error) {
	repo, ok := s.repos[name]
	if !ok || kind != sourcev1.GitRepositoryKind {
		return nil, source.Snapshot{}, fmt.Errorf("source '%s/apps/%s' not found", kind, name)
	}
	return repo, source.Snapshot{Revision: "main@sha1:1", Digest: "sha256:1", Tree: s.trees[name]}, nil
}

func included(name string, includes ...string) *sourcev1.GitRepository {
	repo := &sourcev1.GitRepository{}
	repo.Namespace, repo.Name = "apps", name
	repo.Status.Artifact = &meta.Artifact{Revision: "main@sha1:1"}
	for _, other := range includes {
		repo.Spec.Include = append(repo.Spec.Include, sourcev1.GitRepositoryInclude{GitRepositoryRef: *named(other)})
	}
	return repo
}

// github is the API of GitHub for one app: it checks who asks, and gives tokens.
func github(t *testing.T, token string) (url string, key []byte, given *atomic.Int64) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	given = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := &jwt.RegisteredClaims{}
		_, err := jwt.ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), claims, func(*jwt.Token) (any, error) { return private.Public(), nil },
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer("7"))
		switch {
		case err != nil || time.Until(claims.ExpiresAt.Time) > 10*time.Minute:
			http.Error(w, "who are you", http.StatusUnauthorized)
		case r.Method == http.MethodGet && r.URL.Path == "/api/v3/users/jo/installation":
			fmt.Fprint(w, `{"id": 42}`)
		case r.Method == http.MethodPost && r.URL.Path == "/api/v3/app/installations/42/access_tokens":
			given.Add(1)
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token": %q, "expires_at": %q}`, token, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/api/v3", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}), given
}

func TestFieldsOfAGitRepository(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.Files(map[string]string{"app/a.yaml": "a", "app/b.md": "b", "other/c.yaml": "c"})...)
	repo.Tag("v1.0.0", "main")
	open, _ := repo.HTTP(testgit.Options{})
	closed, _ := repo.HTTP(testgit.Options{Username: "jo", Password: "planted"})
	forApp, _ := repo.HTTP(testgit.Options{Username: cloud.GitHubUser, Password: "planted-token"})
	ssh, identity, known := repo.SSH()
	authority := testtls.New(t)
	handler, err := testgit.Handler(filepath.Dir(repo.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer planted" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	secure.TLS = authority.Server(t)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	overTLS := secure.URL + "/" + filepath.Base(repo.Dir())
	api, key, _ := github(t, "planted-token")
	app := func(pairs ...string) map[string][]byte {
		return data(append([]string{"githubAppID", "7", "githubAppPrivateKey", string(key), "githubAppBaseURL", api}, pairs...)...)
	}
	proxy, asked := through(t)
	cluster := sources{
		namespace: namespace{
			secrets: map[string]map[string][]byte{
				"basic": data("username", "jo", "password", "planted"), "wrong": data("username", "jo", "password", "planted2"), "nothing": data("key", "planted"),
				"token": {"bearerToken": []byte("planted"), "ca.crt": authority.PEM}, "old-token": {"bearerToken": []byte("planted"), "caFile": authority.PEM},
				"no-ca": data("bearerToken", "planted"), "ssh": {"identity": identity, "known_hosts": known}, "proxy": data("address", proxy),
				"app": app("githubAppInstallationID", "42"), "app-of-jo": app("githubAppInstallationOwner", "jo"), "app-of-nobody": app("githubAppInstallationOwner", "nobody"),
				"app-of-none": app(), "keys": data("author", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"),
			},
			accounts: map[string]*cloud.ServiceAccount{"plain": {Namespace: "apps", Name: "plain"}},
		},
		repos: map[string]*sourcev1.GitRepository{"shared": included("shared"), "back": included("back", "over"), "over": included("over", "manifests"), "empty": included("empty")},
		trees: map[string]source.Tree{"shared": source.MemoryTree{"deploy/x.yaml": "x"}, "back": source.MemoryTree{"x": "x"}, "over": source.MemoryTree{"x": "x"}},
	}
	with := func(url string, change func(*sourcev1.GitRepositorySpec)) sourcev1.GitRepositorySpec {
		s := sourcev1.GitRepositorySpec{URL: url, Reference: &sourcev1.GitRepositoryRef{Branch: "main"}}
		change(&s)
		return s
	}
	secret := func(name string) func(*sourcev1.GitRepositorySpec) {
		return func(s *sourcev1.GitRepositorySpec) { s.SecretRef = named(name) }
	}
	provider := func(name, secret string) func(*sourcev1.GitRepositorySpec) {
		return func(s *sourcev1.GitRepositorySpec) {
			s.Provider = name
			if secret != "" {
				s.SecretRef = named(secret)
			}
		}
	}
	include := func(name, from, to string) func(*sourcev1.GitRepositorySpec) {
		return func(s *sourcev1.GitRepositorySpec) {
			s.Include = []sourcev1.GitRepositoryInclude{{GitRepositoryRef: *named(name), FromPath: from, ToPath: to}}
		}
	}
	auth, badProvider := sourcev1.AuthenticationFailedReason, sourcev1.InvalidProviderConfigurationReason
	for label, c := range map[string]struct {
		spec   sourcev1.GitRepositorySpec
		holds  string // a file of it
		reason string
		text   string
	}{
		"url":                    {with(open, func(*sourcev1.GitRepositorySpec) {}), "app/a.yaml", "", ""},
		"ref":                    {with(open, func(s *sourcev1.GitRepositorySpec) { s.Reference = &sourcev1.GitRepositoryRef{SemVer: "1.x"} }), "app/a.yaml", "", ""},
		"secretRef, basic":       {with(closed, secret("basic")), "app/a.yaml", "", ""},
		"secretRef, wrong":       {with(closed, secret("wrong")), "", auth, "check the Secret in spec.secretRef"},
		"secretRef, nothing":     {with(closed, secret("nothing")), "", auth, "spec.secretRef: Secret nothing: it has neither"},
		"secretRef, absent":      {with(closed, secret("absent")), "", auth, "spec.secretRef: Secret/apps/absent not found"},
		"secretRef, bearerToken": {with(overTLS, secret("token")), "app/a.yaml", "", ""},
		"secretRef, caFile":      {with(overTLS, secret("old-token")), "app/a.yaml", "", ""},
		"secretRef, no ca.crt":   {with(overTLS, secret("no-ca")), "", auth, "trust its authority with ca.crt in spec.secretRef"},
		"secretRef, ssh":         {with(ssh, secret("ssh")), "app/a.yaml", "", ""},
		"proxySecretRef":         {with(open, func(s *sourcev1.GitRepositorySpec) { s.ProxySecretRef = named("proxy") }), "app/a.yaml", "", ""},
		"ignore":                 {with(open, func(s *sourcev1.GitRepositorySpec) { s.Ignore = new("app") }), "other/c.yaml", "", ""},
		"sparseCheckout":         {with(open, func(s *sourcev1.GitRepositorySpec) { s.SparseCheckout = []string{"./other"} }), "other/c.yaml", "", ""},
		"sparseCheckout, absent": {with(open, func(s *sourcev1.GitRepositorySpec) { s.SparseCheckout = []string{"nowhere"} }), "", sourcev1.GitOperationFailedReason, "spec.sparseCheckout"},
		"recurseSubmodules":      {with(open, func(s *sourcev1.GitRepositorySpec) { s.RecurseSubmodules = true }), "app/a.yaml", "", ""},
		"verify": {with(open, func(s *sourcev1.GitRepositorySpec) {
			s.Verification = &sourcev1.GitRepositoryVerification{SecretRef: *named("keys")}
		}), "", sourcev1.VerificationErrorReason, "is not signed"},
		"verify, no secretRef": {with(open, func(s *sourcev1.GitRepositorySpec) { s.Verification = &sourcev1.GitRepositoryVerification{} }), "", "", "spec.verify needs secretRef.name"},
		"include":              {with(open, include("shared", "deploy", "vendor")), "vendor/x.yaml", "", ""},
		"include, no toPath":   {with(open, include("shared", "", "")), "shared/deploy/x.yaml", "", ""},
		"include, absent":      {with(open, include("absent", "", "")), "", sourcev1.IncludeUnavailableReason, "not found"},
		"include, empty":       {with(open, include("empty", "", "")), "", sourcev1.IncludeUnavailableReason, "has no artifact yet"},
		"include, in a ring":   {with(open, include("back", "", "")), "", "", "includes this GitRepository in turn"},
		"include, itself":      {with(open, include("manifests", "", "")), "", sourcev1.IncludeUnavailableReason, "not found"},
		"github":               {with(forApp, provider("github", "app")), "app/a.yaml", "", ""},
		"github, by owner":     {with(forApp, provider("github", "app-of-jo")), "app/a.yaml", "", ""},
		"github, not there":    {with(forApp, provider("github", "app-of-nobody")), "", auth, "is not installed for nobody: check githubAppInstallationOwner"},
		"github, which":        {with(forApp, provider("github", "app-of-none")), "", badProvider, "it needs one of githubAppInstallationID"},
		"github, no Secret":    {with(forApp, provider("github", "")), "", badProvider, "it lacks githubAppID"},
		"github, not said":     {with(forApp, secret("app")), "", badProvider, "set spec.provider to github"},
		"azure, account": {with(open, func(s *sourcev1.GitRepositorySpec) { s.Provider, s.ServiceAccountName = "azure", "plain" }),
			"", auth, "lacks the annotations azure.workload.identity/client-id"},
		"aws, elsewhere": {with(open, provider("aws", "")), "", auth, "is no host of AWS CodeCommit"},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			kind, obj := kindOf(t, sourcev1.GitRepositoryKind), &sourcev1.GitRepository{Spec: c.spec}
			obj.Namespace, obj.Name = "apps", "manifests"
			before := asked.Load()
			found, err := kind.Fetch(t.Context(), cluster, obj, source.Snapshot{})
			if c.holds == "" {
				reason := fetch.Reason(err, kind.Failure())
				if err == nil || c.reason != "" && reason != c.reason || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "planted") {
					t.Errorf("got %s: %v, want %s: %s", reason, err, c.reason, c.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := found.Tree.Read(c.holds); err != nil {
				t.Error(err)
			}
			if _, err := found.Tree.Stat("app/a.yaml"); (c.spec.Ignore != nil || c.spec.SparseCheckout != nil) == (err == nil) {
				t.Errorf("what is left out: %v", err)
			}
			if c.spec.ProxySecretRef != nil && asked.Load() == before {
				t.Error("nothing went through the proxy")
			}
			wantOpenGit(t, kind, cluster, obj, found)
		})
	}
}

// wantOpenGit checks that what the status says leads back to the snapshot, and what
// it says of the spec.
func wantOpenGit(t *testing.T, kind fetch.Kind, c fetch.Cluster, obj *sourcev1.GitRepository, found source.Snapshot) {
	t.Helper()
	obj.Status.Artifact = &meta.Artifact{Revision: found.Revision}
	if reason, message := kind.Succeeded(obj, found); reason != meta.SucceededReason || message != "stored artifact for revision '"+found.Revision+"'" {
		t.Errorf("it says %s: %s", reason, message)
	}
	status := obj.Status
	if status.ObservedIgnore != obj.Spec.Ignore || status.ObservedRecurseSubmodules != obj.Spec.RecurseSubmodules ||
		len(status.ObservedInclude) != len(obj.Spec.Include) || len(status.IncludedArtifacts) != len(obj.Spec.Include) || len(status.ObservedSparseCheckout) != len(obj.Spec.SparseCheckout) {
		t.Errorf("the status is %+v", status)
	}
	again, err := kind.Open(t.Context(), c, obj)
	if err != nil || again.Revision != found.Revision || again.Digest != found.Digest {
		t.Errorf("it opens as %s %s, %v, want %s %s", again.Revision, again.Digest, err, found.Revision, found.Digest)
	}
}

// What of the spec a snapshot is about is noted in the status.
func TestStatusOfAGitRepository(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.Files(map[string]string{"app/a.yaml": "a", "other/b.yaml": "b"})...)
	url, _ := repo.HTTP(testgit.Options{})
	kind, obj := kindOf(t, sourcev1.GitRepositoryKind), &sourcev1.GitRepository{}
	obj.Namespace, obj.Name = "apps", "manifests"
	obj.Spec = sourcev1.GitRepositorySpec{
		URL: url, Reference: &sourcev1.GitRepositoryRef{Branch: "main"}, Ignore: new("*.md"), RecurseSubmodules: true, SparseCheckout: []string{"app"},
		Include: []sourcev1.GitRepositoryInclude{{GitRepositoryRef: *named("shared"), FromPath: "deploy", ToPath: "vendor"}},
	}
	shared := included("shared")
	cluster := sources{repos: map[string]*sourcev1.GitRepository{"shared": shared}, trees: map[string]source.Tree{"shared": source.MemoryTree{"deploy/x.yaml": "x"}}}
	found, err := kind.Fetch(t.Context(), cluster, obj, source.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]string{"": "HEAD", "head": "HEAD", "HEAD": "HEAD", "Tag": "Tag", "TagAndHEAD": "TagAndHEAD"} {
		obj.Spec.Verification = &sourcev1.GitRepositoryVerification{Mode: mode, SecretRef: *named("keys")}
		kind.Succeeded(obj, found)
		if got := obj.Status.SourceVerificationMode; got == nil || *got != want {
			t.Errorf("mode %q is noted as %v, want %s", mode, got, want)
		}
	}
	obj.Spec.Verification = nil
	kind.Succeeded(obj, found)
	want := sourcev1.GitRepositoryStatus{
		ObservedIgnore: obj.Spec.Ignore, ObservedRecurseSubmodules: true, ObservedSparseCheckout: []string{"app"}, ObservedInclude: obj.Spec.Include,
		IncludedArtifacts: []*meta.Artifact{shared.Status.Artifact},
	}
	if diff := cmp.Diff(want, obj.Status); diff != "" {
		t.Error(diff)
	}
}

// A token of an app is asked for once, by all who use the app, until it expires.
func TestGitHubTokensAreShared(t *testing.T) {
	t.Parallel()
	repo := testgit.New(t)
	repo.Commit(testgit.File("a", "1"))
	url, _ := repo.HTTP(testgit.Options{Username: cloud.GitHubUser, Password: "token"})
	api, key, given := github(t, "token")
	cluster := namespace{secrets: map[string]map[string][]byte{"app": data("githubAppID", "7", "githubAppPrivateKey", string(key), "githubAppBaseURL", api, "githubAppInstallationID", "42")}}
	kind := kindOf(t, sourcev1.GitRepositoryKind)
	for _, name := range []string{"one", "two", "one"} {
		obj := &sourcev1.GitRepository{Spec: sourcev1.GitRepositorySpec{URL: url, Provider: "github", SecretRef: named("app"), Reference: &sourcev1.GitRepositoryRef{Branch: "main"}}}
		obj.Namespace, obj.Name = "apps", name
		if _, err := kind.Fetch(t.Context(), cluster, obj, source.Snapshot{}); err != nil {
			t.Fatal(err)
		}
	}
	if given.Load() != 1 {
		t.Errorf("%d tokens were given", given.Load())
	}
}
