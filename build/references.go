package build

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// reference is what a kustomization says about another file or folder.
type reference struct {
	field string // of the kustomization
	path  string
	to    referent
}

type referent byte

const (
	toOperand   referent = iota // a file of objects, or a folder with a kustomization
	toComponent                 // a folder with a kustomization
	toFile                      // any file
	toPlugin                    // an operand whose objects configure plugins
)

// references lists what a kustomization refers to, in the order in which
// kustomize gets to it. A test holds the fields of kustomize's type against the
// ones that are known here.
func references(k *types.Kustomization) []reference {
	var all []reference
	add := func(to referent, field string, paths ...string) {
		for _, path := range paths {
			all = append(all, reference{field, path, to})
		}
	}
	add(toOperand, "resources", k.Resources...)
	add(toFile, "configurations", k.Configurations...)
	add(toFile, "crds", k.Crds...)
	add(toFile, "openapi", k.OpenAPI["path"])
	for _, g := range k.ConfigMapGenerator {
		add(toFile, "configMapGenerator", sources(g.KvPairSources)...)
	}
	for _, g := range k.SecretGenerator {
		add(toFile, "secretGenerator", sources(g.KvPairSources)...)
	}
	add(toPlugin, "generators", k.Generators...)
	add(toComponent, "components", k.Components...)
	add(toFile, "patches", patchFiles(k.Patches)...)
	add(toFile, "patchesJson6902", patchFiles(k.PatchesJson6902)...)
	for _, p := range k.PatchesStrategicMerge {
		add(toFile, "patchesStrategicMerge", string(p))
	}
	for _, r := range k.Replacements {
		add(toFile, "replacements", r.Path)
	}
	add(toPlugin, "transformers", k.Transformers...)
	add(toPlugin, "validators", k.Validators...)
	return slices.DeleteFunc(all, func(r reference) bool { return r.path == "" })
}

// inline tells whether it is not a path but the thing itself, which patches and
// plugins may be.
func (r reference) inline() bool {
	may := r.to == toPlugin || r.field == "patchesStrategicMerge"
	return may && isInline(r.path)
}

func isInline(text string) bool {
	return strings.Contains(text, "\n") || strings.HasPrefix(strings.TrimSpace(text), "{")
}

// sources lists the files behind the keys of a generated ConfigMap or Secret.
func sources(s types.KvPairSources) []string {
	all := append([]string{s.EnvSource}, s.EnvSources...)
	for _, f := range s.FileSources {
		if _, path, ok := strings.Cut(f, "="); ok {
			f = path
		}
		all = append(all, f)
	}
	return all
}

func patchFiles(patches []types.Patch) []string {
	var all []string
	for _, p := range patches {
		all = append(all, p.Path)
	}
	return all
}

// isURL tells whether kustomize would fetch path over HTTP instead of reading
// it: the rule of its loader (IsRemoteFile).
func isURL(path string) bool {
	u, err := url.Parse(path)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// repository is how a path begins which kustomize may take for a Git repository
// to clone (git.NewRepoSpecFromURL): a scheme, a user or GitHub. It is wider than
// kustomize's rule.
var repository = regexp.MustCompile(`(?i)^(git::)?((ssh|https?|file)://|[a-z][a-z0-9-]*@|github\.com[/:])`)

func isRepository(path string) bool { return repository.MatchString(path) }

// credentials is what a URL may hold that nobody else should see.
var credentials = regexp.MustCompile(`^([A-Za-z0-9+.:]*//)[^/]*@`)

// redacted is a remote path without user, password and query.
func redacted(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return credentials.ReplaceAllString(path, "$1")
}
