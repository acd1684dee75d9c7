package build_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumb-gitops/plumb/build"
)

const (
	configMap  = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	secret     = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n"
	deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
)

// failing are trees that can't be built, in txtar with "path: …" first, and the
// message. {cm}, {secret} and {deployment} stand for the manifests above.
var failing = map[string]struct{ tree, want string }{
	"no such folder": {
		"path: apps/stagin/web\n-- apps/staging/web/kustomization.yaml --\n{}",
		"apps/stagin/web: there is no such folder in the source; the nearest that exists is apps; correct spec.path",
	},
	"no such folder, nor its parents": {
		"path: x\n-- a.yaml --\n{cm}",
		"x: there is no such folder in the source; the nearest that exists is the root of the source; correct spec.path",
	},
	"path is a file": {
		"path: a.yaml\n-- a.yaml --\n{cm}",
		"a.yaml: is a file; spec.path is the folder of a kustomization or of manifests",
	},
	"path leads out": {
		"path: ../other\n-- a.yaml --\n{cm}",
		"../other: leads out of the source; spec.path is a folder in it",
	},
	"two kustomizations in a folder": {
		"path: app\n-- app/kustomization.yaml --\nresources: []\n-- app/Kustomization --\nresources: []",
		"app: has more than one kustomization, kustomization.yaml and Kustomization; remove all but one",
	},
	"broken YAML": {
		"path: .\n-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\n{cm}data:\n\tkey: value",
		"a.yaml: line 5: found character that cannot start any token",
	},
	"broken YAML in the second document of a file": {
		"path: .\n-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\n{cm}---\napiVersion: v1\nkind: [ConfigMap\nmetadata: {}\n",
		"a.yaml: line 6: did not find expected ',' or ']'",
	},
	"broken YAML in a folder without kustomization": {
		"path: .\n-- sub/a.yml --\na: b: c",
		"sub/a.yml: line 1: mapping values are not allowed in this context",
	},
	"broken kustomization": {
		"path: .\n-- kustomization.yaml --\nresources: [a.yaml\n",
		"kustomization.yaml: line 2: did not find expected ',' or ']'",
	},
	"unknown field in a kustomization": {
		"path: .\n-- kustomization.yaml --\nresource: [a.yaml]\n",
		`kustomization.yaml: unknown field "resource"`,
	},
	"field of another type in a kustomization": {
		"path: .\n-- kustomization.yaml --\nresources: [y]\n",
		"kustomization.yaml: resources: has a bool where a string belongs",
	},
	"kind is missing": {
		"path: .\n-- a.yaml --\napiVersion: v1\nmetadata: {name: a}",
		"a.yaml: object a: kind is missing",
	},
	"apiVersion is missing": {
		"path: .\n-- a.yaml --\nkind: ConfigMap\nmetadata: {name: a}",
		"a.yaml: ConfigMap a: apiVersion is missing",
	},
	"apiVersion is none": {
		"path: .\n-- a.yaml --\napiVersion: a/b/c\nkind: ConfigMap\nmetadata: {name: a}",
		"a.yaml: ConfigMap a: apiVersion: unexpected GroupVersion string: a/b/c",
	},
	"metadata is missing": {
		"path: .\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap",
		"a.yaml: ConfigMap: metadata.name is missing",
	},
	"name is missing": {
		"path: .\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {a: b}}",
		"a.yaml: ConfigMap: metadata.name is missing",
	},
	"name is generated": {
		"path: .\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}",
		"a.yaml: ConfigMap: metadata.name is missing; generateName makes a new object at each apply",
	},
	"name is a number": {
		"path: .\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}",
		"a.yaml: ConfigMap: metadata.name is not a text; put it in quotes",
	},
	"name is missing in a list": {
		"path: .\n-- a.yaml --\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {}}]",
		"a.yaml: ConfigMap: metadata.name is missing",
	},
	"label is a number": {
		"path: .\n-- a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {version: 1}}",
		"a.yaml: ConfigMap a: metadata.labels has values that are not texts; put them in quotes",
	},
	"no Kubernetes object": {
		"path: .\n-- values.yaml --\n- 1\n- 2",
		"values.yaml: line 1: is not a Kubernetes object; keep other YAML files out of the source (.sourceignore, spec.ignore), or list the manifests in a kustomization.yaml",
	},
	"other YAML": {
		"path: .\n-- values.yaml --\nreplicas: 3",
		"values.yaml: object: kind is missing",
	},
	"key twice": {
		"path: .\n-- a.yaml --\n{cm}data:\n  a: b\n  a: c",
		`a.yaml: line 6: the key "a" is there twice`,
	},
	"key is a number": {
		"path: .\n-- a.yaml --\n# first\n---\n{cm}data:\n  1: b",
		`a.yaml: line 7: the key "1" is not a text; put it in quotes`,
	},
	"not a number": {
		"path: .\n-- a.yaml --\n{cm}data: .nan",
		"a.yaml: line 4: the value is not a number that JSON has",
	},
	"not UTF-8": {
		"path: .\n-- a.yaml --\n{cm}data: !!binary qGVsbG8=",
		"a.yaml: line 4: the value is not UTF-8; a Secret's data or a ConfigMap's binaryData take base64 as text",
	},
	"same object in two files": {
		"path: .\n-- a.yaml --\n{cm}\n-- sub/b.yaml --\n{cm}",
		"sub/b.yaml: ConfigMap a is already defined in a.yaml; remove one",
	},
	"same object twice in a file": {
		"path: .\n-- a.yaml --\n{cm}---\n{cm}",
		"a.yaml: ConfigMap a is defined twice in this file; remove one",
	},
	"same object in two versions": {
		"path: .\n-- a.yaml --\n{deployment}\n-- b.yaml --\napiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: web}",
		"b.yaml: Deployment.apps web is already defined in a.yaml; remove one",
	},
	"same object in two bases": {
		"path: .\n-- kustomization.yaml --\nresources: [b, c]\n-- b/kustomization.yaml --\nresources: [a.yaml]\n-- b/a.yaml --\n{cm}\n-- c/kustomization.yaml --\nresources: [a.yaml]\n-- c/a.yaml --\n{cm}",
		"kustomization.yaml: ConfigMap.v1.[noGrp]/a.[noNs] is defined twice; remove one",
	},
	"two objects meet in the target namespace": {
		"path: .\ntargetNamespace: one\n-- a.yaml --\n{cm}\n-- b.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}",
		"kustomization.yaml: two objects of the same kind and name end up in one namespace; rename one",
	},
	"missing operand": {
		"path: app\n-- app/kustomization.yaml --\nresources: [a.yaml]",
		"app/kustomization.yaml: resources: a.yaml does not exist in the source",
	},
	"missing patch": {
		"path: app\n-- app/kustomization.yaml --\nresources: [a.yaml]\npatches: [{path: p.yaml}]\n-- app/a.yaml --\n{cm}",
		"app/kustomization.yaml: patches: p.yaml does not exist in the source",
	},
	"missing file of a generator": {
		"path: .\n-- kustomization.yaml --\nsecretGenerator: [{name: s, files: [key=id.pem]}]",
		"kustomization.yaml: secretGenerator: id.pem does not exist in the source",
	},
	"operand out of the source": {
		"path: app\n-- app/kustomization.yaml --\nresources: [../../etc/passwd]",
		"app/kustomization.yaml: resources: ../../etc/passwd leads out of the source",
	},
	"absolute operand": {
		"path: .\n-- kustomization.yaml --\nresources: [/etc/passwd]",
		"kustomization.yaml: resources: /etc/passwd is an absolute path; write it relative to this file",
	},
	"base without kustomization": {
		"path: .\n-- kustomization.yaml --\nresources: [base]\n-- base/a.yaml --\n{cm}",
		"base: has no kustomization.yaml; add one or name its files one by one",
	},
	"empty base": {
		"path: .\n-- kustomization.yaml --\nresources: [base]\n-- base/kustomization.yaml --\n{}",
		"base/kustomization.yaml: kustomization.yaml is empty",
	},
	"error in a nested base": {
		"path: over\n-- over/kustomization.yaml --\nresources: [../base]\n-- base/kustomization.yaml --\nresources: [inner]\n-- base/inner/kustomization.yaml --\nresources: [a.yaml]\npatches: [{patch: '{kind: Deployment, apiVersion: apps/v1, metadata: {name: gone}}'}]\n-- base/inner/a.yaml --\n{cm}",
		`base/inner/kustomization.yaml: no resource matches strategic merge patch "Deployment.v1.apps/gone.[noNs]": no matches for Id Deployment.v1.apps/gone.[noNs]; failed to find unique target for patch Deployment.v1.apps/gone.[noNs]`,
	},
	"broken file of a nested base": {
		"path: over\n-- over/kustomization.yaml --\nresources: [../base]\n-- base/kustomization.yaml --\nresources: [a.yaml]\n-- base/a.yaml --\nkind: ConfigMap",
		"base/a.yaml: ConfigMap: apiVersion is missing",
	},
	"bases in a cycle": {
		"path: a\n-- a/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [../a]",
		"b/kustomization.yaml: resources: bases form a cycle: a -> b -> a",
	},
	"base above": {
		"path: a/b\n-- a/b/kustomization.yaml --\nresources: [..]\n-- a/kustomization.yaml --\nresources: [b]",
		"a/b/kustomization.yaml: resources: .. contains a/b, which is being built; a base can't be above what uses it",
	},
	"component among the operands": {
		"path: .\n-- kustomization.yaml --\nresources: [c]\n-- c/kustomization.yaml --\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: x-",
		"kustomization.yaml: expected kind != 'Component' for path 'c'",
	},
	"component is a file": {
		"path: .\n-- kustomization.yaml --\ncomponents: [c.yaml]\n-- c.yaml --\n{cm}",
		"kustomization.yaml: components: c.yaml is a file; a component is a folder",
	},
	"chart": {
		"path: .\n-- kustomization.yaml --\nhelmCharts: [{name: a, repo: 'https://example.com'}]",
		"kustomization.yaml: helmCharts: charts are not rendered by a kustomization; use a HelmRelease or commit the rendered manifests",
	},
	"chart by a generator": {
		"path: .\n-- kustomization.yaml --\ngenerators: [g.yaml]\n-- g.yaml --\napiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: a}\nname: a",
		"kustomization.yaml: charts are not rendered by a kustomization; use a HelmRelease or commit the rendered manifests",
	},
	"executable as a plugin": {
		"path: .\n-- kustomization.yaml --\ntransformers: [t.yaml]\n-- t.yaml --\napiVersion: example.com/v1\nkind: Sed\nmetadata: {name: a, annotations: {config.kubernetes.io/function: 'exec: {path: /bin/sed}'}}",
		"kustomization.yaml: the plugin Sed is not one of kustomize's own; others don't run here: commit what it makes",
	},
	"unreadable patch of a Secret stays secret": {
		"path: .\n-- kustomization.yaml --\nresources: [s.yaml]\npatches: [{target: {kind: Secret}, patch: '- hunter2: [hunter2'}]\n-- s.yaml --\n{secret}",
		"kustomization.yaml: PatchTransformer: unable to parse SM or JSON patch from (inline)",
	},
	"literal of a Secret stays secret": {
		"path: .\n-- kustomization.yaml --\nsecretGenerator: [{name: s, literals: [hunter2]}]",
		"kustomization.yaml: a literal of a generator is not of the form key=value",
	},
	"Secret twice stays secret": {
		"path: .\n-- kustomization.yaml --\nresources: [s.yaml]\nsecretGenerator: [{name: s, literals: [a=hunter2], options: {disableNameSuffixHash: true}}]\n-- s.yaml --\n{secret}",
		"kustomization.yaml: generator: Secret s exists, which does not go with the behavior of the generator",
	},
	"Secrets that meet in a namespace stay secret": {
		"path: .\ntargetNamespace: x\n-- s.yaml --\n{secret}\n-- t.yaml --\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: y}\nstringData: {password: hunter2}",
		"kustomization.yaml: two objects of the same kind and name end up in one namespace; rename one",
	},
	"replacement without a source": {
		"path: .\n-- kustomization.yaml --\nresources: [a.yaml]\nreplacements: [{source: {kind: Secret}, targets: [{select: {kind: ConfigMap}, fieldPaths: [data.x]}]}]\n-- a.yaml --\n{cm}",
		"kustomization.yaml: nothing selected by Secret.[noVer].[noGrp]/[noName].[noNs]",
	},
	"alias inside its anchor": {
		"path: .\n-- a.yaml --\n{cm}data: &a [*a]",
		"a.yaml: YAML aliases that contain themselves or multiply beyond bounds are refused",
	},
	"aliases that multiply": {
		"path: .\n-- a.yaml --\n{cm}" + multiplying(),
		"a.yaml: YAML aliases that contain themselves or multiply beyond bounds are refused",
	},
	"alias inside its anchor, put together for a transformer": {
		"path: .\n-- kustomization.yaml --\nresources: [a.yaml]\ntransformers: [t]\n-- a.yaml --\n{cm}\n-- t/kustomization.yaml --\nresources: [t.yaml]\nreplacements: [{source: {kind: PatchTransformer, fieldPath: metadata.annotations.part}, targets: [{select: {kind: PatchTransformer}, fieldPaths: [patch], options: {delimiter: ',', index: 1}}]}]\n-- t/t.yaml --\napiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t, annotations: {part: '*a'}}\npatch: 'x: &a [1,2,3]'",
		"kustomization.yaml: YAML aliases that contain themselves or multiply beyond bounds are refused",
	},
	"alias inside its anchor in an inline patch": {
		"path: .\n-- kustomization.yaml --\nresources: [a.yaml]\npatches: [{patch: '{x: &a [*a]}'}]\n-- a.yaml --\n{cm}",
		"kustomization.yaml: YAML aliases that contain themselves or multiply beyond bounds are refused",
	},
}

// multiplying is YAML of 30 lines that is a billion values written out.
func multiplying() string {
	var b strings.Builder
	b.WriteString("a0: &a0 x\n")
	for i := range 30 {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	return b.String()
}

func failingArchive(tree string) archive {
	manifests := strings.NewReplacer("{cm}", configMap, "{secret}", secret, "{deployment}", deployment)
	return newArchive("", txtar.Parse([]byte(manifests.Replace(tree))))
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range failing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := failingArchive(tc.tree)
			result, err := build.Kustomization(t.Context(), a.tree, a.spec)
			if err == nil {
				t.Fatalf("no error, but %v", result.Objects)
			}
			if err.Error() != tc.want {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("the message tells a secret")
			}
			var inFile *build.Error
			if !errors.As(err, &inFile) || !strings.HasPrefix(err.Error(), inFile.File+": ") {
				t.Errorf("%T does not lead with a file", err)
			}
			if result.Objects != nil {
				t.Errorf("has objects: %v", result.Objects)
			}
			_, again := build.Kustomization(t.Context(), a.tree, a.spec)
			if again == nil || again.Error() != err.Error() {
				t.Errorf("the second time the message is %v", again)
			}
			if !result.Reads.Unchanged(a.tree) {
				t.Error("the read set is changed in the tree that it was made of")
			}
		})
	}
}

// TestErrorsGoAway: whatever mends a tree is in its read set.
func TestErrorsGoAway(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]struct {
		tree, file, content string
	}{
		"folder appears":       {"path: app/web\n-- a.yaml --\n{cm}", "app/web/a.yaml", configMap},
		"operand appears":      {"path: .\n-- kustomization.yaml --\nresources: [a.yaml]", "a.yaml", configMap},
		"operand is mended":    {"path: .\n-- kustomization.yaml --\nresources: [a.yaml]\n-- a.yaml --\nx", "a.yaml", configMap},
		"base gets its file":   {"path: .\n-- kustomization.yaml --\nresources: [base]\n-- base/a.yaml --\n{cm}", "base/kustomization.yaml", "resources: [a.yaml]"},
		"kustomization mended": {"path: .\n-- kustomization.yaml --\nfoo: bar", "kustomization.yaml", "resources: []\nnamePrefix: a"},
		"takes over from YAML": {"path: .\n-- a.yaml --\nx", "kustomization.yml", "namePrefix: a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := failingArchive(mend.tree)
			result, err := build.Kustomization(t.Context(), a.tree, a.spec)
			if err == nil {
				t.Fatal("no error")
			}
			a.tree[mend.file] = mend.content
			if result.Reads.Unchanged(a.tree) {
				t.Errorf("unchanged after %s appeared, read %v", mend.file, result.Reads.Paths())
			}
			if _, err := build.Kustomization(t.Context(), a.tree, a.spec); err != nil {
				t.Error(err)
			}
		})
	}
}
