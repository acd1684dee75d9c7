package flags

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// made is a configuration as create left it.
func made(t *testing.T, line string, vars map[string]string) Have {
	t.Helper()
	plan, err := Create("fleet", "ns", given(line, vars))
	if err != nil {
		t.Fatal(err)
	}
	return Have{Object: plan.Object, Protected: plan.Protected}
}

// TestUpdate shows the patch of the spec, and the protected parameters that change:
// with a - those that go.
func TestUpdate(t *testing.T) {
	t.Parallel()
	vars := credentials(t)
	const infra = " --kustomization name=infra path=./infra prune=true disable-health-check=true"
	tests := []struct{ name, was, line, patch, protected string }{
		{"suspend", gitURL, "--suspend true", `{"suspend":true}`, ""},
		{"resume", gitURL + "--suspend", "--suspend false", `{"suspend":false}`, ""},
		{"another branch", gitURL, "--branch dev", `{"gitRepository":{"ref":{"branch":"dev","commit":null,"semver":null,"tag":null}}}`, ""},
		{"a tag in place of a branch", gitURL, "--tag v1", `{"gitRepository":{"ref":{"branch":null,"commit":null,"semver":null,"tag":"v1"}}}`, ""},
		{"a provider", gitURL, "--provider azure", `{"gitRepository":{"provider":"Azure"}}`, ""},
		{"a Secret in place of a user", gitURL + "--https-user me --https-key it", "--local-auth-ref mine",
			`{"gitRepository":{"httpsCACert":null,"httpsUser":null,"localAuthRef":"mine","sshKnownHosts":null}}`, "-httpsKey"},
		{"a new password", gitURL + "--https-user me --https-key it", "--https-key new", `{"gitRepository":{"localAuthRef":null,"sshKnownHosts":null}}`, "httpsKey"},
		{"from SSH to HTTPS", sshURL + "--ssh-private-key-file $KEY --known-hosts-file $HOSTS", "--url https://github.com/org/repo",
			`{"gitRepository":{"sshKnownHosts":null,"url":"https://github.com/org/repo"}}`, "-sshPrivateKey"},
		{"another host by HTTPS", gitURL + "--https-user me --https-key it", "--url https://other.example.com/repo",
			`{"gitRepository":{"sshKnownHosts":null,"url":"https://other.example.com/repo"}}`, ""},
		{"a secret in place of a certificate", blobs + "--sp-client-id a --sp-tenant-id t --sp-client-cert $CA64 --sp-cert-password p", "--sp-client-secret s",
			`{"azureBlob":{"localAuthRef":null,"managedIdentity":null}}`, "-clientCertificate -clientCertificatePassword clientSecret"},
		{"a kustomization keeps what is not spoken of", gitURL + infra, "--kustomization name=infra path=./other",
			`{"kustomizations":[{"name":"infra","path":"./other","prune":true,"wait":false}]}`, ""},
		{"a second kustomization", gitURL + infra, "--kustomization name=apps dependsOn=infra",
			`{"kustomizations":[{"name":"infra","path":"./infra","prune":true,"wait":false},{"dependsOn":["infra"],"name":"apps"}]}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := Update(made(t, test.was, vars), given(test.line, vars))
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := json.Marshal(plan.Patch["spec"]); string(got) != test.patch {
				t.Errorf("got  %s\nwant %s", got, test.patch)
			}
			if got := moved(plan); got != test.protected {
				t.Errorf("protected %q, want %q", got, test.protected)
			}
			if len(plan.Doubts) > 0 {
				t.Errorf("doubts %q", plan.Doubts)
			}
		})
	}
}

func moved(plan *Plan) string {
	var out []string
	for key, value := range plan.Protected {
		if value == nil {
			key = "-" + key
		}
		out = append(out, key)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestUpdateTheKind(t *testing.T) {
	t.Parallel()
	vars := credentials(t)
	have := made(t, sshURL+"--ssh-private-key-file $KEY", vars)
	if _, err := Update(have, given("--kind bucket --url https://s3.example.com", vars)); err == nil || !strings.Contains(err.Error(), "--bucket-name") {
		t.Errorf("without the name of a bucket: %v", err)
	}
	plan, err := Update(have, given(s3URL+"--bucket-access-key me --bucket-secret-key it", vars))
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Object.Spec
	if s.SourceKind != clusterconfigv1.BucketSource || s.GitRepository != nil || s.Bucket == nil || s.Bucket.BucketName != "b" {
		t.Errorf("got %+v", s)
	}
	if got := moved(plan); got != "-sshPrivateKey bucketSecretKey" {
		t.Errorf("protected %q", got)
	}
	if len(plan.Doubts) != 1 || !strings.Contains(plan.Doubts[0], "bucket instead of git") {
		t.Errorf("doubts %q", plan.Doubts)
	}
}

func TestUpdateRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, was, line, want string }{
		{"nothing", gitURL, "", "at least one flag"},
		{"two references", gitURL, "--tag v1 --semver 1.x", "give only one"},
		{"a user without a password", gitURL, "--https-user me", "give --https-user and --https-key together"},
		{"a flag of another kind", s3URL, "--branch main", "does not belong to a source of kind bucket"},
		{"an unknown dependency", gitURL, "--kustomization name=a dependsOn=b", "depends on b"},
	}
	for _, test := range tests {
		if _, err := Update(made(t, test.was, nil), given(test.line, nil)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
	}
	unread := made(t, gitURL, nil)
	unread.Unread = true
	if _, err := Update(unread, given("--https-user me --https-key it", nil)); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("into a Secret that cannot be read: %v", err)
	}
	if _, err := Update(unread, given("--branch dev", nil)); err != nil {
		t.Errorf("beside a Secret that cannot be read: %v", err)
	}
}
