package archtest

import "strings"

// module is the path of the product's own module.
const module = "github.com/plumb-gitops/plumb"

// layers hold the packages of the product, lowest first; "x/*" stands for
// everything below x. A package imports only from layers under its own, so what
// a package knows can be told from its place here.
var layers = [][]string{
	{"internal/failpoint", "internal/logline", "internal/denial", "internal/errlist", "internal/memory", "internal/retry", "api/meta"},
	{"api/kustomize/v1", "api/source/v1"},
	{"api", "api/*"},
	{"source", "dag", "health", "drift", "settings", "shard"},
	{"fluxconfig", "source/store", "source/transport", "source/cloud", "build/*", "helmrel/values"},
	{"source/archive", "source/objects", "helmrel", "install", "fluxconfig/*"},
	{"helmrel/charts"},
	{"source/git", "source/bucket", "source/blob", "source/oci", "source/artifact", "build", "internal/kube"},
	{"source/helmrepo"},
	{"source/*"},
	{"fetch"},
	{"live", "shard/lease"},
	{"apply", "prune", "helmrel/storage"},
	{"helmrel/postrender", "helmrel/render"},
	{"helmrel/*"},
	{"engine", "explain"},
	{"preview"},
	{"cli"},
	{"."},
}

// support packages serve tests, benchmarks and the demo. They import what they
// like, and only tests and each other import them.
var support = []string{"internal/archtest", "internal/demo", "internal/scenario", "internal/test*", "bench"}

// clients talk to a cluster, or to anything else over the network.
var clients = []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", module + "/internal/kube", "net/http"}

// bans name what certain packages must not import, beside the layers.
var bans = []struct {
	packages  []string
	forbidden []string
	reason    string
}{
	{[]string{"dag", "health", "drift", "fluxconfig", "fluxconfig/*", "helmrel", "install", "internal/logline", "settings", "shard"}, clients, "it decides and touches nothing"},
	{[]string{"dag"}, []string{"k8s.io", "sigs.k8s.io"}, "the graph knows no Kubernetes"},
	{[]string{"build", "helmrel/values"}, clients, "building works in memory, on what it is given"},
	{[]string{"source", "source/*"}, clients[:3], "a source knows no Kubernetes client"},
	{[]string{"api", "api/*"}, []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "net/http"}, "types are for everybody"},
}

// writers are the packages that change objects on a cluster, with the verbs
// that they use. Workload objects are written by apply and prune only; the
// engine patches its own kinds and creates events.
var writers = map[string][]string{
	"apply":           {"Apply", "Create", "Delete", "Patch", "Update"},
	"prune":           {"Delete"},
	"helmrel/storage": {"Create", "Update", "Delete"},
	"engine":          {"Create", "Delete", "Patch"},
	"shard/lease":     {"Create", "Delete", "Update"},
	"cli":             {"Apply", "Create", "Delete", "Patch"},
	"internal/kube":   {"Apply", "Delete", "Patch"},
}

// vague are names under which anything would find a place.
var vague = []string{"utils", "util", "common", "helpers", "helper", "misc", "types"}

// matches tells whether a package is one of patterns.
func matches(pkg string, patterns []string) bool {
	for _, pattern := range patterns {
		prefix, wild := strings.CutSuffix(pattern, "*")
		if pkg == pattern || wild && strings.HasPrefix(pkg, prefix) {
			return true
		}
	}
	return false
}

// layer of a package, -1 when it has none. A package named in full is not where
// a pattern would put it.
func layer(pkg string) int {
	for _, full := range []bool{true, false} {
		for i, patterns := range layers {
			for _, pattern := range patterns {
				if full && pkg == pattern || !full && matches(pkg, []string{pattern}) {
					return i
				}
			}
		}
	}
	return -1
}
