package cli

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/install"
)

// TestDriftAsksThePodsThatInstallMakes: one label, on both sides.
func TestDriftAsksThePodsThatInstallMakes(t *testing.T) {
	t.Parallel()
	selector, err := labels.Parse(enginePods)
	if err != nil {
		t.Fatal(err)
	}
	objs, err := install.Objects(install.Options{Image: "plumb:test"})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, obj := range objs {
		if obj.GetKind() != "Deployment" {
			continue
		}
		found = true
		have, _, err := unstructured.NestedStringMap(obj.Object, "spec", "template", "metadata", "labels")
		if err != nil || !selector.Matches(labels.Set(have)) {
			t.Errorf("%s does not match %v, %v", enginePods, have, err)
		}
	}
	if !found {
		t.Error("there is no Deployment")
	}
}

// TestContainerArgumentsParse: the Deployment starts `plumb run` as it is, and no two
// arguments of it exclude each other.
func TestContainerArgumentsParse(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]install.Options{"one engine": {}, "shards": {Shards: 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Image = "plumb:test"
			objs, err := install.Objects(o)
			if err != nil {
				t.Fatal(err)
			}
			containers, _, err := unstructured.NestedSlice(objs[len(objs)-1].Object, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatalf("containers are %v, %v", containers, err)
			}
			args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			if err != nil {
				t.Fatal(err)
			}
			if cmd, err := parse(args); err != nil || cmd.Name() != "run" {
				t.Errorf("%v: %v", args, err)
			}
			flags := runFlags{leaderElect: true, shards: int(o.Shards), shardNamespace: valueOf(args, "--shard-namespace"), artifacts: valueOf(args, "--artifact-server")}
			if err := flags.divide(&engine.Options{}); err != nil {
				t.Errorf("%v: %v", args, err)
			}
		})
	}
}

// valueOf is what a flag is given, "" for one that is not there.
func valueOf(args []string, flag string) string {
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, flag+"="); ok {
			return value
		}
	}
	return ""
}
