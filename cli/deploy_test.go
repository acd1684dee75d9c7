package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// TestDeployIsWhatInstallExports: `make generate` writes it.
func TestDeployIsWhatInstallExports(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if code := Main([]string{"install", "--export", "--image", "plumb:dev"}, &out, io.Discard); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if out.String() != read(t, "../deploy/install.yaml") {
		t.Error("deploy/install.yaml is not what plumb install --export prints: run make generate")
	}
}

// TestDeployByKustomize: the page of deploy/ sets the image so.
func TestDeployByKustomize(t *testing.T) {
	t.Parallel()
	fs := filesys.MakeFsInMemory()
	for name, content := range map[string]string{
		"deploy/kustomization.yaml": read(t, "../deploy/kustomization.yaml"),
		"deploy/install.yaml":       read(t, "../deploy/install.yaml"),
		"own/kustomization.yaml":    "resources: [../deploy]\nimages: [{name: plumb, newName: registry.example.com/plumb, newTag: v1}]\n",
	} {
		if err := fs.WriteFile("/"+name, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, "/own")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objs, err := decode("kustomize", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	exported, err := decode("deploy", strings.NewReader(read(t, "../deploy/install.yaml")))
	if err != nil || len(objs) != len(exported) {
		t.Errorf("%d objects by kustomize, %d in the file, %v", len(objs), len(exported), err)
	}
	for _, obj := range objs {
		if obj.GetKind() != "Deployment" {
			continue
		}
		containers, _, _ := unstructured.NestedSlice(obj.Object, "spec", "template", "spec", "containers")
		if image := containers[0].(map[string]any)["image"]; image != "registry.example.com/plumb:v1" {
			t.Errorf("the image is %v", image)
		}
	}
}

// TestDockerfile holds the image to what the Deployment expects of it.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	build, final, ok := strings.Cut(read(t, "../Dockerfile"), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the image is not made from scratch")
	}
	_, tags, _ := strings.Cut(read(t, "../Makefile"), "\ntags := ")
	if tags, _, _ = strings.Cut(tags, "\n"); tags == "" || !strings.Contains(build, " -tags "+tags+" ") {
		t.Errorf("the image is built without the tags of the Makefile: %q", tags)
	}
	for _, line := range []string{`ENTRYPOINT ["/plumb"]`, "USER 65532:65532", "COPY --from=build /plumb /plumb"} {
		if !strings.Contains(final, "\n"+line+"\n") {
			t.Errorf("the Dockerfile has no line %q", line)
		}
	}
	if deployed := read(t, "../deploy/install.yaml"); !strings.Contains(deployed, "runAsUser: 65532") || strings.Contains(deployed, "command:") {
		t.Error("the Deployment runs something else, or as somebody else")
	}
}
