package flags

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// given reads flags as a command line has them; an argument without a value is a
// switch that is on. What is in vars replaces $NAME.
func given(line string, vars map[string]string) Given {
	out := Given{}
	args := strings.Fields(line)
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			continue
		}
		var words []string
		for ; i+1 < len(args) && !strings.HasPrefix(args[i+1], "--"); i++ {
			word := args[i+1]
			if v, ok := vars[strings.TrimPrefix(word, "$")]; ok {
				word = v
			}
			words = append(words, word)
		}
		switch {
		case name == "kustomization":
			out[name] = append(out[name], strings.Join(words, separator))
		case len(words) == 0:
			out[name] = []string{"true"}
		default:
			out[name] = append(out[name], words...)
		}
	}
	return out
}

// credentials are keys and certificates to use as $KEY and so on; with a 64 behind,
// in base64.
func credentials(t *testing.T) map[string]string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{
		"KEY":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"SEALED": string(pem.EncodeToMemory(sealed)),
		"CA":     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})),
		"HOSTS":  "# ours\ngit.example.com " + string(ssh.MarshalAuthorizedKey(public)),
		"JUNK":   "junk",
	}
	for name, value := range maps.Clone(out) {
		out[name+"64"] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	return out
}

const (
	gitURL = "--url https://git.example.com/repo --branch main "
	sshURL = "--url ssh://git@github.com/org/repo --branch main "
	s3URL  = "--kind bucket --url https://s3.example.com --bucket-name b "
	blobs  = "--kind azblob --url https://a.blob.core.windows.net --container-name c "
	ociURL = "--kind oci --url oci://registry.example.com/repo "
)

// creations have every flag that says something of the source, what it becomes, and
// which protected parameters it makes.
var creations = []struct{ name, line, source, protected string }{
	{"branch", "--url https://git.example.com/repo --branch main", `{"ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, ""},
	{"tag", "--url https://git.example.com/repo --tag v1", `{"ref":{"tag":"v1"},"url":"https://git.example.com/repo"}`, ""},
	{"semver", "--url https://git.example.com/repo --semver 1.x", `{"ref":{"semver":"1.x"},"url":"https://git.example.com/repo"}`, ""},
	{"commit", "--url https://git.example.com/repo --commit 1234567", `{"ref":{"commit":"1234567"},"url":"https://git.example.com/repo"}`, ""},
	{"commit with branch", gitURL + "--commit 1234567", `{"ref":{"branch":"main","commit":"1234567"},"url":"https://git.example.com/repo"}`, ""},
	{"timeout and interval", gitURL + "--timeout 1m30s --interval 1h", `{"ref":{"branch":"main"},"syncInterval":"1h0m0s","timeout":"1m30s","url":"https://git.example.com/repo"}`, ""},
	{"local-auth-ref", gitURL + "--local-auth-ref mine", `{"localAuthRef":"mine","ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, ""},
	{"provider azure", gitURL + "--provider azure", `{"provider":"Azure","ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, ""},
	{"provider generic", gitURL + "--provider generic", `{"provider":"Generic","ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, ""},
	{"https-user, https-key", gitURL + "--https-user me --https-key token", `{"httpsUser":"me","ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, "httpsKey"},
	{"https-ca-cert", gitURL + "--https-ca-cert $CA64", `{"httpsCACert":"$CA64","ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, ""},
	{"https-ca-cert-file", gitURL + "--https-ca-cert-file $CA", `{"httpsCACert":"$CA64","ref":{"branch":"main"},"url":"https://git.example.com/repo"}`, ""},
	{"ssh without a key", sshURL, `{"ref":{"branch":"main"},"url":"ssh://git@github.com/org/repo"}`, ""},
	{"git@", "--url git@github.com:org/repo --branch main", `{"ref":{"branch":"main"},"url":"git@github.com:org/repo"}`, ""},
	{"ssh-private-key", sshURL + "--ssh-private-key $KEY64", `{"ref":{"branch":"main"},"url":"ssh://git@github.com/org/repo"}`, "sshPrivateKey"},
	{"ssh-private-key-file", sshURL + "--ssh-private-key-file $KEY", `{"ref":{"branch":"main"},"url":"ssh://git@github.com/org/repo"}`, "sshPrivateKey"},
	{"known-hosts", sshURL + "--known-hosts $HOSTS64", `{"ref":{"branch":"main"},"sshKnownHosts":"$HOSTS64","url":"ssh://git@github.com/org/repo"}`, ""},
	{"known-hosts-file", sshURL + "--known-hosts-file $HOSTS", `{"ref":{"branch":"main"},"sshKnownHosts":"$HOSTS64","url":"ssh://git@github.com/org/repo"}`, ""},
	{"bucket", s3URL, `{"bucketName":"b","url":"https://s3.example.com"}`, ""},
	{"bucket keys", s3URL + "--bucket-access-key me --bucket-secret-key it", `{"accessKey":"me","bucketName":"b","url":"https://s3.example.com"}`, "bucketSecretKey"},
	{"bucket-insecure", "--kind bucket --url http://s3.example.com --bucket-name b --bucket-insecure", `{"bucketName":"b","insecure":true,"url":"http://s3.example.com"}`, ""},
	{"bucket local-auth-ref", s3URL + "--local-auth-ref mine", `{"bucketName":"b","localAuthRef":"mine","url":"https://s3.example.com"}`, ""},
	{"account-key", blobs + "--account-key it", `{"containerName":"c","url":"https://a.blob.core.windows.net"}`, "accountKey"},
	{"sas-token", blobs + "--sas-token it", `{"containerName":"c","url":"https://a.blob.core.windows.net"}`, "sasToken"},
	{"mi-client-id", blobs + "--mi-client-id it", `{"containerName":"c","managedIdentity":{"clientId":"it"},"url":"https://a.blob.core.windows.net"}`, ""},
	{"sp with a secret", blobs + "--sp-client-id a --sp-tenant-id t --sp-client-secret s", `{"containerName":"c","servicePrincipal":{"clientId":"a","tenantId":"t"},"url":"https://a.blob.core.windows.net"}`, "clientSecret"},
	{"sp with a certificate", blobs + "--sp-client-id a --sp-tenant-id t --sp-client-cert $CA64 --sp-cert-password p --sp-cert-send-chain",
		`{"containerName":"c","servicePrincipal":{"clientCertificateSendChain":true,"clientId":"a","tenantId":"t"},"url":"https://a.blob.core.windows.net"}`, "clientCertificate clientCertificatePassword"},
	{"oci", ociURL, `{"url":"oci://registry.example.com/repo"}`, ""},
	{"digest", ociURL + "--digest sha256:" + strings.Repeat("0", 64), `{"ref":{"digest":"sha256:` + strings.Repeat("0", 64) + `"},"url":"oci://registry.example.com/repo"}`, ""},
	{"oci tag", ociURL + "--tag v1", `{"ref":{"tag":"v1"},"url":"oci://registry.example.com/repo"}`, ""},
	{"oci semver", ociURL + "--semver 1.x", `{"ref":{"semver":"1.x"},"url":"oci://registry.example.com/repo"}`, ""},
	{"layer", ociURL + "--oci-media-type a/b --oci-operation copy", `{"layerSelector":{"mediaType":"a/b","operation":"copy"},"url":"oci://registry.example.com/repo"}`, ""},
	{"oci-insecure", ociURL + "--oci-insecure", `{"insecure":true,"url":"oci://registry.example.com/repo"}`, ""},
	{"tls", ociURL + "--tls-ca-certificate $CA64 --tls-client-certificate $CA64 --tls-private-key $KEY64", `{"url":"oci://registry.example.com/repo"}`, "tlsCaCertificate tlsClientCertificate tlsPrivateKey"},
	{"service-account-name", ociURL + "--service-account-name sa", `{"serviceAccountName":"sa","url":"oci://registry.example.com/repo"}`, ""},
	{"use-workload-identity", ociURL + "--use-workload-identity", `{"url":"oci://registry.example.com/repo","useWorkloadIdentity":true}`, ""},
	{"verification", ociURL + "--verification-provider cosign --verification-config cosign.pub=QQ== other.pub=Qg==",
		`{"url":"oci://registry.example.com/repo","verify":{"provider":"cosign","verificationConfig":{"cosign.pub":"QQ==","other.pub":"Qg=="}}}`, ""},
	{"match-oidc-identity", ociURL + `--match-oidc-identity {"issuer":"a","subject":"b"} {"issuer":"c","subject":"d"}`,
		`{"url":"oci://registry.example.com/repo","verify":{"matchOidcIdentity":[{"issuer":"a","subject":"b"},{"issuer":"c","subject":"d"}]}}`, ""},
}

func TestCreate(t *testing.T) {
	t.Parallel()
	vars := credentials(t)
	for _, test := range creations {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := Create("fleet", "ns", given(test.line, vars))
			if err != nil {
				t.Fatal(err)
			}
			all, err := fields(plan.Object)
			if err != nil {
				t.Fatal(err)
			}
			field := kindOf(func(k kind) bool { return k.source == plan.Object.Spec.SourceKind }).field
			want := strings.NewReplacer("$CA64", vars["CA64"], "$HOSTS64", vars["HOSTS64"]).Replace(test.source)
			if got, _ := json.Marshal(all[field]); string(got) != want {
				t.Errorf("the source is %s\nwant          %s", got, want)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(plan.Protected)), " "); got != test.protected {
				t.Errorf("protected are %q, want %q", got, test.protected)
			}
			ref := plan.Object.Spec.ProtectedParametersSecretRef
			if (ref != nil) != (test.protected != "") || ref != nil && ref.Name != "fleet-protected-parameters" {
				t.Errorf("the Secret is %v", ref)
			}
			for key, value := range plan.Protected {
				if raw, _ := json.Marshal(plan.Object); strings.Contains(string(raw), string(value)) && len(value) > 3 {
					t.Errorf("%s is in the object", key)
				}
			}
		})
	}
}

// TestEveryFlagIsTested: a flag that no line above has would go unnoticed.
func TestEveryFlagIsTested(t *testing.T) {
	t.Parallel()
	words := strings.Fields(tutorial)
	for _, test := range creations {
		words = append(words, strings.Fields(test.line)...)
	}
	for _, f := range Sources {
		if !slices.Contains(words, "--"+f.Name) {
			t.Errorf("--%s: no test gives it", f.Name)
		}
	}
}

func TestCreateDefaults(t *testing.T) {
	t.Parallel()
	plan, err := Create("fleet", "ns", given(gitURL, nil))
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Object.Spec
	if s.Scope != "cluster" || s.SourceKind != "GitRepository" || s.Suspend || len(s.Kustomizations) != 1 || s.Kustomizations[0].Name != DefaultKustomization {
		t.Errorf("got %+v", s)
	}
	if len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0], DefaultKustomization) {
		t.Errorf("notes are %q", plan.Notes)
	}
	if plan.Patch != nil || len(plan.Doubts) > 0 {
		t.Errorf("a new configuration is no patch, and no doubt: %v, %v", plan.Patch, plan.Doubts)
	}
}

// tutorial are flags of the command of Azure's tutorial, and --suspend.
const tutorial = "--scope cluster --url https://github.com/Azure/gitops-flux2-kustomize-helm-mt --branch main " +
	"--kustomization name=infra path=./infrastructure prune=true --kustomization name=apps path=./apps/staging prune=true dependsOn=[infra] --suspend"

func TestCreateTheTutorial(t *testing.T) {
	t.Parallel()
	plan, err := Create("cluster-config", "cluster-config", given(tutorial, nil))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(plan.Object.Spec)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"scope":"cluster","sourceKind":"GitRepository","suspend":true,"gitRepository":{"url":"https://github.com/Azure/gitops-flux2-kustomize-helm-mt","ref":{"branch":"main"}},` +
		`"kustomizations":[{"name":"infra","path":"./infrastructure","prune":true},{"name":"apps","path":"./apps/staging","dependsOn":["infra"],"prune":true}]}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	vars := credentials(t)
	tests := []struct{ name, line, want string }{
		{"no url", "--branch main", "give --url"},
		{"a url of another kind", "--url s3://b --branch main", "begins with https://, http://, ssh://, git@"},
		{"a bucket by ssh", "--kind bucket --url ssh://a/b --bucket-name b", "kind bucket begins with https://, http://"},
		{"an artifact by https", "--kind oci --url https://a/b", "kind oci begins with oci://"},
		{"no reference", "--url https://git.example.com/repo", "give one of --branch, --tag, --semver, --commit"},
		{"two references", gitURL + "--tag v1", "--branch, --tag: give only one"},
		{"two references of an artifact", ociURL + "--tag v1 --semver 1.x", "give only one"},
		{"an unknown kind", gitURL + "--kind svn", "want one of git, bucket, azblob, oci"},
		{"an unknown scope", gitURL + "--scope world", "want one of cluster, namespace"},
		{"an unknown provider", gitURL + "--provider aws", "want one of generic, azure, github"},
		{"a flag of another kind", gitURL + "--bucket-name b", "--bucket-name does not belong to a source of kind git; these do: --branch, --tag,"},
		{"a flag of git for a bucket", s3URL + "--branch main", "these do: --bucket-name, --bucket-insecure"},
		{"both forms of a key", sshURL + "--ssh-private-key $KEY64 --ssh-private-key-file $KEY", "say the same"},
		{"a key that is none", sshURL + "--ssh-private-key $JUNK64", "no private key in PEM"},
		{"a key not in base64", sshURL + "--ssh-private-key $KEY", "--ssh-private-key: it is not in base64: give it so, or the file itself with --ssh-private-key-file"},
		{"a key with a passphrase", sshURL + "--ssh-private-key-file $SEALED", "passphrase"},
		{"a key for https", gitURL + "--ssh-private-key-file $KEY", "--ssh-private-key-file does not go with the address https://git.example.com/repo: it is for SSH"},
		{"known hosts for https", gitURL + "--known-hosts-file $HOSTS", "it is for SSH"},
		{"known hosts that are none", sshURL + "--known-hosts-file $JUNK", "line 1 is not as in a known_hosts file"},
		{"a host that nobody knows", "--url ssh://git@git.example.com/repo --branch main", "git.example.com are not built in"},
		{"a user without a password", gitURL + "--https-user me", "give --https-user and --https-key together"},
		{"a password without a user", gitURL + "--https-key it", "give --https-user and --https-key together"},
		{"a user for ssh", sshURL + "--https-user me --https-key it", "it is for HTTPS"},
		{"a certificate that is none", gitURL + "--https-ca-cert $JUNK64", "no certificate in PEM"},
		{"a key as certificate", gitURL + "--https-ca-cert-file $KEY", "is no certificate"},
		{"two ways in", gitURL + "--https-user me --https-key it --local-auth-ref mine", "give one way in, not several"},
		{"no bucket", "--kind bucket --url https://s3.example.com", "give --bucket-name"},
		{"half a key pair", s3URL + "--bucket-access-key me", "give --bucket-access-key and --bucket-secret-key together"},
		{"a bucket without TLS", "--kind bucket --url http://s3.example.com --bucket-name b", "without TLS"},
		{"no container", "--kind azblob --url https://a.blob.core.windows.net", "give --container-name"},
		{"two ways into a container", blobs + "--account-key a --sas-token b", "give one way in, not several"},
		{"a principal without a tenant", blobs + "--sp-client-id a --sp-client-secret s", "--sp-client-id and --sp-tenant-id"},
		{"a principal with nothing", blobs + "--sp-client-id a --sp-tenant-id t", "one of --sp-client-secret and --sp-client-cert"},
		{"a principal with both", blobs + "--sp-client-id a --sp-tenant-id t --sp-client-secret s --sp-client-cert $CA64", "one of --sp-client-secret and --sp-client-cert"},
		{"a password of no certificate", blobs + "--sp-client-id a --sp-tenant-id t --sp-client-secret s --sp-cert-password p", "go with --sp-client-cert"},
		{"a key of no certificate", ociURL + "--tls-private-key $KEY64", "give --tls-client-certificate and --tls-private-key together"},
		{"verification of no file", ociURL + "--verification-config cosign.pub", "FILE=BASE64"},
		{"a signer that is none", ociURL + `--match-oidc-identity {"issuer":"a"}`, `"subject"`},
		{"a duration without a unit", gitURL + "--interval 600", "--interval: \"600\": want a duration"},
		{"a second kustomization without a name", gitURL + "--kustomization name=a --kustomization path=./b", "give a name"},
		{"the same kustomization twice", gitURL + "--kustomization name=a --kustomization name=a", "name=a is given twice"},
		{"an unknown dependency", gitURL + "--kustomization name=a dependsOn=b", "depends on b, which this configuration does not have"},
		{"a cycle", gitURL + "--kustomization name=a dependsOn=b --kustomization name=b dependsOn=a", "kustomizations:"},
		{"names that are too long together", gitURL + "--kustomization name=" + strings.Repeat("a", 60), "63 characters at most"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Create("fleet", "ns", given(test.line, vars))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q in it", err, test.want)
			}
			for _, secret := range []string{"KEY", "SEALED", "KEY64", "SEALED64", "JUNK64"} {
				if strings.Contains(err.Error(), vars[secret]) {
					t.Errorf("the error tells %s", secret)
				}
			}
		})
	}
}

func TestCheckNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, namespace, want string }{
		{"cluster-config", "cluster-config", ""},
		{"a.b", "", ""},
		{"", "ns", "--name"},
		{"Fleet", "ns", "--name"},
		{strings.Repeat("a", 64), "ns", "at most 63"},
		{"fleet", "a.b", "--namespace"},
	} {
		err := CheckNames(test.name, test.namespace)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s/%s: got %v, want %q", test.namespace, test.name, err, test.want)
		}
	}
}
