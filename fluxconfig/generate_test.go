package fluxconfig_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

const owner = "00000000-0000-0000-0000-000000000001"

// config is FluxConfig/team/fleet with that spec.
func config(t *testing.T, spec string) *clusterconfigv1.FluxConfig {
	t.Helper()
	fc := &clusterconfigv1.FluxConfig{}
	fc.Name, fc.Namespace, fc.Generation, fc.UID = "fleet", "team", 3, owner
	if err := yaml.UnmarshalStrict([]byte(spec), &fc.Spec); err != nil {
		t.Fatal(err)
	}
	return fc
}

// oneKey is made once: it takes long.
var oneKey = sync.OnceValues(fluxconfig.NewKey)

func key(t *testing.T) []byte {
	t.Helper()
	made, err := oneKey()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

const git = "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'https://git.example.com/fleet.git', ref: {branch: main}}"

func TestGenerate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, spec string
		protected  map[string]string
		want       string // in order: kind/name, then indented what has to be there
	}{
		{"a source alone", git + "}", nil, `
ServiceAccount/flux-applier: {metadata: {namespace: team, labels: {clusterconfig.azure.com/is-managed: "true"}}}
ClusterRoleBinding/flux-applier-binding-team:
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
  subjects: [{kind: ServiceAccount, name: flux-applier, namespace: team}]
GitRepository/fleet:
  metadata:
    namespace: team
    labels: {clusterconfig.azure.com/is-managed: "true", clusterconfig.azure.com/name: fleet, clusterconfig.azure.com/namespace: team}
    annotations: {plumb-gitops.github.io/configuration-generation: "3"}
  spec: {url: "https://git.example.com/fleet.git", ref: {branch: main}, interval: 10m0s, timeout: 10m0s}`},
		{"kustomizations that depend on each other", git + ", operationId: op-1, kustomizations: [{name: apps, path: ./apps, dependsOn: [infra], prune: true, force: true, wait: false, syncInterval: 5m, retryInterval: 1m, timeout: 2m}, {name: infra}]}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
GitRepository/fleet: {metadata: {labels: {clusterconfig.azure.com/operation-id: op-1}}}
Kustomization/fleet-infra:
  spec:
    serviceAccountName: flux-applier
    sourceRef: {kind: GitRepository, name: fleet, namespace: team}
    interval: 10m0s
    retryInterval: 10m0s
    timeout: 10m0s
    prune: false
    wait: true
    patches:
      - target: {group: helm.toolkit.fluxcd.io, kind: HelmRelease, annotationSelector: clusterconfig.azure.com/use-managed-source=true}
        patch: '[{"op":"add","path":"/spec/chart/spec/sourceRef","value":{"kind":"GitRepository","name":"fleet","namespace":"team"}}]'
Kustomization/fleet-apps:
  metadata: {labels: {clusterconfig.azure.com/operation-id: op-1}}
  spec: {path: ./apps, dependsOn: [{name: fleet-infra}], prune: true, force: true, interval: 5m0s, retryInterval: 1m0s, timeout: 2m0s}`},
		{"scope namespace", "{scope: namespace, sourceKind: GitRepository, gitRepository: {url: 'https://h/r', ref: {tag: v1}}}", nil, `
ServiceAccount/flux-applier: {}
Role/flux-applier: {metadata: {namespace: team}, rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]}
RoleBinding/flux-applier-binding: {metadata: {namespace: team}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: flux-applier}}
GitRepository/fleet: {spec: {ref: {tag: v1}}}`},
		{"suspend", git + ", suspend: true, kustomizations: [{name: a}]}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
GitRepository/fleet: {spec: {suspend: true}}
Kustomization/fleet-a: {spec: {suspend: true}}`},
		{"a commit of a branch, folders and a provider", "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'https://h/r', provider: GitHub, sparseCheckout: [a, b], ref: {branch: main, commit: abc}}}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
GitRepository/fleet: {spec: {ref: {branch: main, commit: abc}, provider: github, sparseCheckout: [a, b]}}`},
		{"a user with a password, and an authority", "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'https://h/r', ref: {semver: '1.x'}, httpsUser: reader, httpsCACert: Y2E=}}", map[string]string{"httpsKey": "pw", "httpsUser": "other"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth:
  metadata: {ownerReferences: [{apiVersion: clusterconfig.azure.com/v1alpha1, kind: FluxConfig, name: fleet, uid: ` + owner + `}]}
  data: {username: cmVhZGVy, password: cHc=, ca.crt: Y2E=}
GitRepository/fleet: {spec: {secretRef: {name: fleet-auth}, ref: {semver: 1.x}}}`},
		{"a token alone", git + "}", map[string]string{"httpsKey": "pw"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {username: Z2l0, password: cHc=}}
GitRepository/fleet: {spec: {secretRef: {name: fleet-auth}}}`},
		{"localAuthRef replaces what is given", "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'https://h/r', ref: {branch: main}, httpsUser: u, localAuthRef: mine}}", map[string]string{"httpsKey": "pw"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
GitRepository/fleet: {spec: {secretRef: {name: mine}}}`},
		{"an identity of the source", "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'https://h/r', ref: {branch: main}, objectLevelIdentity: {clientId: c, tenantId: d}}}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
ServiceAccount/fleet-gitrepository: {metadata: {labels: {clusterconfig.azure.com/name: fleet}, annotations: {azure.workload.identity/client-id: c, azure.workload.identity/tenant-id: d}}}
GitRepository/fleet: {spec: {provider: azure, serviceAccountName: fleet-gitrepository}}`},
		{"additional configurations, under the typed fields", "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'https://h/r', ref: {branch: main}, additionalConfigurations: {recurseSubmodules: true, interval: 1m, url: 'https://evil', ref: {name: refs/x, branch: dev}}}, kustomizations: [{name: a, path: ./a, additionalConfigurations: {path: ./b, healthChecks: [{kind: Job, name: j, namespace: ns}], deletionPolicy: Orphan, targetNamespace: t, decryption: {provider: sops}, patches: [{patch: p}]}}]}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
GitRepository/fleet: {spec: {recurseSubmodules: true, interval: 10m0s, url: "https://h/r", ref: {branch: main, name: refs/x}}}
Kustomization/fleet-a:
  spec:
    path: ./a
    targetNamespace: t
    healthChecks: [{kind: Job, name: j, namespace: ns}]
    deletionPolicy: Orphan
    decryption: {provider: sops}
    patches:
      - patch: p
      - target: {group: helm.toolkit.fluxcd.io, kind: HelmRelease, annotationSelector: clusterconfig.azure.com/use-managed-source=true}
        patch: '[{"op":"add","path":"/spec/chart/spec/sourceRef","value":{"kind":"GitRepository","name":"fleet","namespace":"team"}}]'`},
		{"variables, and another cluster", git + ", kustomizations: [{name: a, postBuild: {substitute: {x: y}, substituteFrom: [{kind: Secret, name: s, optional: true}]}, kubeConfig: {clusterResourceId: /subscriptions/1, objectLevelIdentity: {clientId: c, serviceAccountName: sa}}}]}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
GitRepository/fleet: {}
ServiceAccount/sa: {metadata: {annotations: {azure.workload.identity/client-id: c}}}
ConfigMap/fleet-a-cluster: {data: {provider: azure, cluster: /subscriptions/1, serviceAccountName: sa}}
Kustomization/fleet-a: {spec: {kubeConfig: {configMapRef: {name: fleet-a-cluster}}, postBuild: {substitute: {x: y}, substituteFrom: [{kind: Secret, name: s, optional: true}]}}}`},
		{"a bucket that speaks S3", "{scope: cluster, sourceKind: Bucket, bucket: {url: 'http://s3.example.com:9000/', bucketName: b, insecure: true, accessKey: id, syncInterval: 1m, timeout: 30s}}", map[string]string{"bucketSecretKey": "k"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {accesskey: aWQ=, secretkey: aw==}}
Bucket/fleet: {spec: {provider: generic, endpoint: "s3.example.com:9000", bucketName: b, insecure: true, interval: 1m0s, timeout: 30s, secretRef: {name: fleet-auth}}}`},
		{"a container, with its account's key", "{scope: cluster, sourceKind: AzureBlob, azureBlob: {url: 'https://a.blob.core.windows.net', containerName: c}}", map[string]string{"accountKey": "k"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {accountKey: aw==}}
Bucket/fleet: {spec: {provider: azure, endpoint: "https://a.blob.core.windows.net", bucketName: c, secretRef: {name: fleet-auth}}}`},
		{"a container, with a token", "{scope: cluster, sourceKind: AzureBlob, azureBlob: {url: 'https://a.blob.core.windows.net', containerName: c}}", map[string]string{"sasToken": "k"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {sasKey: aw==}}
Bucket/fleet: {}`},
		{"a container, as a managed identity", "{scope: cluster, sourceKind: AzureBlob, azureBlob: {url: 'https://a.blob.core.windows.net', containerName: c, managedIdentity: {clientId: m}}}", nil, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {clientId: bQ==}}
Bucket/fleet: {}`},
		{"a container, as a principal with a certificate", "{scope: cluster, sourceKind: AzureBlob, azureBlob: {url: 'https://a.blob.core.windows.net', containerName: c, servicePrincipal: {clientId: m, tenantId: o, clientCertificateSendChain: true}}}", map[string]string{"clientCertificate": "c", "clientCertificatePassword": "p"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {clientId: bQ==, tenantId: bw==, clientCertificate: Yw==, clientCertificatePassword: cA==, clientCertificateSendChain: dHJ1ZQ==}}
Bucket/fleet: {}`},
		{"a container, as a principal with a secret", "{scope: cluster, sourceKind: AzureBlob, azureBlob: {url: 'https://a.blob.core.windows.net', containerName: c, servicePrincipal: {clientId: m, tenantId: o}}}", map[string]string{"clientSecret": "s"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-auth: {data: {clientId: bQ==, tenantId: bw==, clientSecret: cw==}}
Bucket/fleet: {}`},
		{"an artifact in a registry", "{scope: cluster, sourceKind: OCIRepository, ociRepository: {url: 'oci://r/a', ref: {tag: t, semver: 1.x, digest: 'sha256:d'}, layerSelector: {mediaType: m, operation: copy}, verify: {verificationConfig: {k.pub: cA==}, matchOidcIdentity: [{issuer: i, subject: s}]}, insecure: true, useWorkloadIdentity: true, serviceAccountName: sa}, kustomizations: [{name: a}]}", map[string]string{"tlsClientCertificate": "a", "tlsPrivateKey": "b", "tlsCaCertificate": "c"}, `
ServiceAccount/flux-applier: {}
ClusterRoleBinding/flux-applier-binding-team: {}
Secret/fleet-verify: {data: {k.pub: cA==}}
Secret/fleet-tls: {data: {tls.crt: YQ==, tls.key: Yg==, ca.crt: Yw==}}
OCIRepository/fleet:
  spec:
    url: oci://r/a
    ref: {tag: t, semver: 1.x, digest: "sha256:d"}
    layerSelector: {mediaType: m, operation: copy}
    verify: {provider: cosign, secretRef: {name: fleet-verify}, matchOIDCIdentity: [{issuer: i, subject: s}]}
    insecure: true
    provider: azure
    serviceAccountName: sa
    certSecretRef: {name: fleet-tls}
Kustomization/fleet-a: {spec: {sourceRef: {kind: OCIRepository, name: fleet, namespace: team}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := fluxconfig.Generate(config(t, c.spec), fluxconfig.Inputs{Protected: bytesOf(c.protected)})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, c.want)
		})
	}
}

func bytesOf(texts map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for name, text := range texts {
		out[name] = []byte(text)
	}
	return out
}

// compare holds the order of the objects, and that each has what is wanted.
func compare(t *testing.T, got []*unstructured.Unstructured, want string) {
	t.Helper()
	var order, names []string
	for line := range strings.Lines(want) {
		if name, _, found := strings.Cut(line, ":"); found && !strings.HasPrefix(line, " ") {
			order = append(order, name)
		}
	}
	wanted := map[string]any{}
	if err := yaml.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	for _, obj := range got {
		name := obj.GetKind() + "/" + obj.GetName()
		names = append(names, name)
		for _, wrong := range lacks(obj.Object, wanted[name], name) {
			t.Error(wrong)
		}
	}
	if !slices.Equal(names, order) {
		t.Errorf("generated %v, want %v", names, order)
	}
}

// lacks says where have is without what want has. Lists have to be equal.
func lacks(have, want any, at string) (out []string) {
	fields, ok := want.(map[string]any)
	if !ok {
		if fmt.Sprint(have) != fmt.Sprint(want) {
			return []string{fmt.Sprintf("%s is %v, want %v", at, have, want)}
		}
		return nil
	}
	in, _ := have.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, lacks(in[name], fields[name], at+"."+name)...)
	}
	return out
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	const blob = "{scope: cluster, sourceKind: AzureBlob, azureBlob: {url: 'https://a', containerName: c"
	gitWith := func(fields string) string {
		return "{scope: cluster, sourceKind: GitRepository, gitRepository: {ref: {branch: main}, " + fields + "}}"
	}
	for _, c := range []struct {
		name, spec string
		protected  map[string]string
		want       string
	}{
		{"a cycle", git + ", kustomizations: [{name: a, dependsOn: [b]}, {name: b, dependsOn: [c]}, {name: c, dependsOn: [a]}]}", nil, "dependency cycle: a -> b -> c -> a"},
		{"itself", git + ", kustomizations: [{name: a, dependsOn: [a]}]}", nil, "dependency cycle: a -> a"},
		{"an unknown name", git + ", kustomizations: [{name: a, dependsOn: [x, z]}]}", nil, "kustomization a depends on x, z, which this configuration does not have"},
		{"a name twice", git + ", kustomizations: [{name: a}, {name: a}]}", nil, "a is there twice"},
		{"a long name", git + ", kustomizations: [{name: " + strings.Repeat("x", 58) + "}]}", nil, "(5 characters) and of kustomization " + strings.Repeat("x", 58) + " (58)"},
		{"no source", "{sourceKind: Bucket}", nil, `sourceKind is "Bucket", and what belongs to it is not there`},
		{"no ref", "{sourceKind: GitRepository, gitRepository: {url: 'https://h/r'}}", nil, "give one of branch, tag, semver and commit"},
		{"a commit of a tag", "{sourceKind: GitRepository, gitRepository: {url: 'https://h/r', ref: {tag: a, commit: b}}}", nil, "give one of branch, tag, semver and commit"},
		{"a user alone", gitWith("url: 'https://h/r', httpsUser: u"), nil, "give the protected parameter httpsKey"},
		{"an authority not in base64", gitWith("url: 'https://h/r', httpsCACert: '?'"), nil, "gitRepository.httpsCACert is not in base64"},
		{"hosts not in base64", gitWith("url: 'ssh://git@h/r', sshKnownHosts: '?'"), nil, "gitRepository.sshKnownHosts is not in base64"},
		{"an unknown host", gitWith("url: 'git@git.example.com:r'"), nil, "the keys of git.example.com are not built in"},
		{"a known host at another port", gitWith("url: 'ssh://git@github.com:443/r'"), nil, "the keys of github.com:443 are not built in"},
		{"no key", gitWith("url: 'git@github.com:o/r'"), nil, "no key to reach ssh://git@github.com/o/r with"},
		{"a key that is none", gitWith("url: 'git@github.com:o/r'"), map[string]string{"sshPrivateKey": "hunter2"}, "the private key cannot be read"},
		{"half a pair", "{sourceKind: Bucket, bucket: {url: 'https://h', bucketName: b, accessKey: a}}", nil, "give both bucket.accessKey and the protected parameter bucketSecretKey"},
		{"the other half", "{sourceKind: Bucket, bucket: {url: 'https://h', bucketName: b}}", map[string]string{"bucketSecretKey": "hunter2"}, "give both"},
		{"a bucket without TLS", "{sourceKind: Bucket, bucket: {url: 'http://h', bucketName: b}}", nil, "set bucket.insecure to true"},
		{"a bucket's path", "{sourceKind: Bucket, bucket: {url: 'https://h/b', bucketName: b}}", nil, "give the address of the server alone"},
		{"a bucket with an identity", "{sourceKind: Bucket, bucket: {url: 'https://h', bucketName: b, objectLevelIdentity: {clientId: c}}}", nil, "an identity of Azure opens azureBlob"},
		{"two ways in", blob + ", managedIdentity: {clientId: c}}}", map[string]string{"sasToken": "hunter2"}, "give one way in instead of managedIdentity, the protected parameter sasToken"},
		{"a principal without a secret", blob + ", servicePrincipal: {clientId: c, tenantId: t}}}", nil, "give one of the protected parameters clientSecret and clientCertificate"},
		{"a principal with two", blob + ", servicePrincipal: {clientId: c, tenantId: t}}}", map[string]string{"clientSecret": "hunter2", "clientCertificate": "hunter2"}, "give one of the protected parameters"},
		{"an addition that its kind lacks", git + ", kustomizations: [{name: a, additionalConfigurations: {colour: red}}]}", nil, "kustomization a: additionalConfigurations: a Kustomization cannot have this: strict decoding error: unknown field \"spec.colour\""},
		{"an addition of another type", gitWith("url: 'https://h/r', additionalConfigurations: {recurseSubmodules: [hunter2]}"), nil, "the source: additionalConfigurations: a GitRepository cannot have this"},
		{"a trusted key not in base64", "{sourceKind: OCIRepository, ociRepository: {url: 'oci://r/a', verify: {verificationConfig: {a.pub: '?'}}}}", nil, "verificationConfig: a.pub is not in base64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := fluxconfig.Generate(config(t, c.spec), fluxconfig.Inputs{Protected: bytesOf(c.protected)})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "FluxConfig/team/fleet: ") {
				t.Fatalf("error is %v, want one with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells a secret")
			}
		})
	}
}

func TestGenerateWithKey(t *testing.T) {
	t.Parallel()
	const spec = "{scope: cluster, sourceKind: GitRepository, gitRepository: {url: 'git@ssh.dev.azure.com:v3/org/project/repo', ref: {branch: main}}}"
	fc, made := config(t, spec), key(t)
	if !fluxconfig.NeedsKey(fc, nil) || fluxconfig.NeedsKey(fc, map[string][]byte{clusterconfigv1.SSHPrivateKey: made}) {
		t.Fatal("a key is needed exactly when none is given")
	}
	for name, in := range map[string]fluxconfig.Inputs{
		"made": {Key: made}, "given": {Protected: map[string][]byte{clusterconfigv1.SSHPrivateKey: made}, Key: []byte("an older one")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fluxconfig.Generate(fc, in)
			if err != nil {
				t.Fatal(err)
			}
			identity := base64.StdEncoding.EncodeToString(made)
			want := "\nServiceAccount/flux-applier: {}\nClusterRoleBinding/flux-applier-binding-team: {}\n"
			if name == "made" {
				want += "Secret/fleet-generated-key: {data: {identity: " + identity + "}}\n"
			}
			want += "Secret/fleet-auth: {data: {identity: " + identity + "}}\n" +
				"GitRepository/fleet: {spec: {url: 'ssh://git@ssh.dev.azure.com/v3/org/project/repo', secretRef: {name: fleet-auth}}}\n"
			compare(t, got, want)
			public := fluxconfig.PublicKey(fc, in)
			data, _, _ := unstructured.NestedStringMap(got[len(got)-2].Object, "data")
			hosts, _ := base64.StdEncoding.DecodeString(data["known_hosts"])
			if !strings.HasPrefix(public, "ssh-rsa AAAA") || !strings.HasPrefix(string(hosts), "ssh.dev.azure.com ssh-rsa ") || strings.Count(string(hosts), "\n") != 1 {
				t.Errorf("public key %.20q, known hosts %q", public, hosts)
			}
		})
	}
}
