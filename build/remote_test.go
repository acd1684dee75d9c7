package build_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/source"
)

// server counts its requests.
func server(t *testing.T) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write([]byte(configMap))
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

func TestRemoteIsRefused(t *testing.T) {
	t.Parallel()
	url, requests := server(t)
	for name, tc := range map[string]struct {
		tree source.MemoryTree
		want string
	}{
		"resources":          {source.MemoryTree{"kustomization.yaml": "resources: [URL/a.yaml]"}, "kustomization.yaml: resources: URL/a.yaml"},
		"bases":              {source.MemoryTree{"kustomization.yaml": "bases: [URL/org/repo]"}, "kustomization.yaml: resources: URL/org/repo"},
		"any case of a key":  {source.MemoryTree{"kustomization.yaml": "RESOURCES: [URL/a.yaml]"}, "kustomization.yaml: resources: URL/a.yaml"},
		"by an alias":        {source.MemoryTree{"kustomization.yaml": "commonAnnotations: {a: &u URL/a.yaml}\nresources: [*u]"}, "kustomization.yaml: resources: URL/a.yaml"},
		"by an escape":       {source.MemoryTree{"kustomization.yaml": `resources: ["\u0068ttp://example.com/a.yaml"]`}, "kustomization.yaml: resources: http://example.com/a.yaml"},
		"braces in it":       {source.MemoryTree{"kustomization.yaml": "resources: ['URL/{a}.yaml']"}, "kustomization.yaml: resources: URL/{a}.yaml"},
		"components":         {source.MemoryTree{"kustomization.yaml": "components: [URL/org/repo]"}, "kustomization.yaml: components: URL/org/repo"},
		"GitHub":             {source.MemoryTree{"kustomization.yaml": "resources: ['github.com/org/repo/dir?ref=main']"}, "kustomization.yaml: resources: github.com/org/repo/dir"},
		"GitHub in capitals": {source.MemoryTree{"kustomization.yaml": "resources: [GitHub.com/org/repo]"}, "kustomization.yaml: resources: GitHub.com/org/repo"},
		"forced Git":         {source.MemoryTree{"kustomization.yaml": "resources: ['git::https://example.com/org/repo']"}, "kustomization.yaml: resources: git::https://example.com/org/repo"},
		"scp":                {source.MemoryTree{"kustomization.yaml": "resources: ['git@example.com:org/repo.git']"}, "kustomization.yaml: resources: git@example.com:org/repo.git"},
		"ssh":                {source.MemoryTree{"kustomization.yaml": "resources: ['ssh://git@example.com/org/repo.git']"}, "kustomization.yaml: resources: ssh://example.com/org/repo.git"},
		"file":               {source.MemoryTree{"kustomization.yaml": "resources: ['file:///etc']"}, "kustomization.yaml: resources: file:///etc"},
		"a token in it":      {source.MemoryTree{"kustomization.yaml": "resources: ['https://hunter2@example.com/org/repo?token=hunter2']"}, "kustomization.yaml: resources: https://example.com/org/repo"},
		"in a base":          {source.MemoryTree{"kustomization.yaml": "resources: [b]", "b/kustomization.yaml": "resources: [URL/a.yaml]"}, "b/kustomization.yaml: resources: URL/a.yaml"},
		"patch":              {source.MemoryTree{"kustomization.yaml": "patches: [{path: URL/p.yaml}]"}, "kustomization.yaml: patches: URL/p.yaml"},
		"old patch":          {source.MemoryTree{"kustomization.yaml": "patchesJson6902: [{path: URL/p.yaml, target: {kind: A, name: b, version: v1}}]"}, "kustomization.yaml: patchesJson6902: URL/p.yaml"},
		"older patch":        {source.MemoryTree{"kustomization.yaml": "patchesStrategicMerge: [URL/p.yaml]"}, "kustomization.yaml: patchesStrategicMerge: URL/p.yaml"},
		"replacement":        {source.MemoryTree{"kustomization.yaml": "replacements: [{path: URL/p.yaml}]"}, "kustomization.yaml: replacements: URL/p.yaml"},
		"crds":               {source.MemoryTree{"kustomization.yaml": "crds: [URL/p.yaml]"}, "kustomization.yaml: crds: URL/p.yaml"},
		"configurations":     {source.MemoryTree{"kustomization.yaml": "configurations: [URL/p.yaml]"}, "kustomization.yaml: configurations: URL/p.yaml"},
		"openapi":            {source.MemoryTree{"kustomization.yaml": "openapi: {path: URL/p.yaml}"}, "kustomization.yaml: openapi: URL/p.yaml"},
		"generated files":    {source.MemoryTree{"kustomization.yaml": "configMapGenerator: [{name: a, files: [key=URL/p]}]"}, "kustomization.yaml: configMapGenerator: URL/p"},
		"generated env":      {source.MemoryTree{"kustomization.yaml": "secretGenerator: [{name: a, env: URL/p}]"}, "kustomization.yaml: secretGenerator: URL/p"},
		"a transformer":      {source.MemoryTree{"kustomization.yaml": "transformers: [URL/p.yaml]"}, "kustomization.yaml: transformers: URL/p.yaml"},
		"in a transformer":   {source.MemoryTree{"kustomization.yaml": "transformers: [t.yaml]", "t.yaml": "apiVersion: \"b\\u0075iltin\"\nkind: PatchTransformer\nmetadata: {name: a}\nPATH: URL/p.yaml"}, "t.yaml: refers to URL/p.yaml"},
		"in an inline one":   {source.MemoryTree{"kustomization.yaml": "generators: ['{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: a}, name: a, files: [k=URL/p]}']"}, "kustomization.yaml: refers to URL/p"},
		"in a folder of them": {source.MemoryTree{
			"kustomization.yaml": "transformers: [t]", "t/kustomization.yaml": "resources: [t.yaml]\npatches: [{target: {}, patch: '[{\"op\": \"add\", \"path\": \"/path\", \"value\": \"URL/p.yaml\"}]'}]",
			"t/t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}",
		}, "kustomization.yaml: refers to URL/p.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for file, content := range tc.tree {
				tc.tree[file] = strings.ReplaceAll(content, "URL", url)
			}
			_, err := build.Kustomization(t.Context(), tc.tree, build.Spec{})
			if err == nil {
				t.Fatal("no error")
			}
			want := strings.ReplaceAll(tc.want, "URL", url)
			if !strings.HasPrefix(err.Error(), want+", which is remote") && !strings.HasPrefix(err.Error(), want+" is remote") {
				t.Errorf("got %q, want it to begin with %q", err, want)
			}
			if !strings.Contains(err.Error(), "--allow-remote-bases") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %q", err)
			}
		})
	}
	t.Cleanup(func() {
		if n := requests.Load(); n != 0 {
			t.Errorf("%d requests were made", n)
		}
	})
}

func TestFileThatLooksRemoteIsRead(t *testing.T) {
	t.Parallel()
	tree := source.MemoryTree{"kustomization.yaml": "resources: [github.com/org/repo/a.yaml]", "github.com/org/repo/a.yaml": configMap}
	result, err := build.Kustomization(t.Context(), tree, build.Spec{})
	if err != nil || len(result.Objects) != 1 {
		t.Errorf("got %v, error %v", result.Objects, err)
	}
}

func TestRemoteFileIsFetchedWhenAllowed(t *testing.T) {
	t.Parallel()
	url, requests := server(t)
	tree := source.MemoryTree{"kustomization.yaml": "resources: [" + url + "/a.yaml]"}
	result, err := build.Kustomization(t.Context(), tree, build.Spec{RemoteBases: true})
	if err != nil || len(result.Objects) != 1 || requests.Load() != 1 {
		t.Fatalf("got %v after %d requests, error %v", result.Objects, requests.Load(), err)
	}
	if result.Reads.Unchanged(tree) {
		t.Error("nobody knows whether what is remote is unchanged")
	}
}

func TestRemoteRepositoryIsClonedWhenAllowed(t *testing.T) {
	t.Parallel()
	repo := filepath.Join(t.TempDir(), "repo.git")
	if err := os.MkdirAll(filepath.Join(repo, "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"base/kustomization.yaml": "resources: [a.yaml]", "base/a.yaml": configMap} {
		if err := os.WriteFile(filepath.Join(repo, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=plumb", "-c", "user.email=plumb@example.com", "commit", "-q", "-m", "base"}} {
		git := exec.CommandContext(t.Context(), "git", append([]string{"-C", repo}, args...)...)
		git.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull) // whoever runs this may sign commits, or have hooks
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	tree := source.MemoryTree{"kustomization.yaml": "namePrefix: x-\nresources: ['file://" + repo + "/base?ref=main']"}
	result, err := build.Kustomization(t.Context(), tree, build.Spec{RemoteBases: true})
	if err != nil || len(result.Objects) != 1 || result.Objects[0].GetName() != "x-a" {
		t.Fatalf("got %v, error %v", result.Objects, err)
	}
}
