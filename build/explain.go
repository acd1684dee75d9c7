package build

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// explain finds the file that made kustomize fail with err. kustomize says how
// it got there, in several ways, but hardly ever the file. So everything that
// took part is tried on its own, bases before what uses them: the first that
// fails is the reason. This costs as much as several builds; none that succeeds
// pays for it.
func (b *builder) explain(err error) error {
	if err := b.ctx.Err(); err != nil {
		return b.fail(err)
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	for _, k := range b.visited {
		if err := b.explainOperands(k); err != nil {
			return err
		}
		if k.Kind == "Component" || k.OpenAPI != nil {
			continue // has no outcome of its own
		}
		if _, err := b.run(k.dir); err != nil {
			return failure(k.name, "%s", plain(err))
		}
	}
	if len(b.visited) == 0 {
		return failure(b.spec.Path, "%s", plain(err))
	}
	return failure(b.visited[len(b.visited)-1].name, "%s", plain(err))
}

// explainOperands looks at each object in the files of one kustomization.
func (b *builder) explainOperands(k kustomization) error {
	defined := map[identity]string{}
	for _, ref := range references(k.Kustomization) {
		name := path.Join(k.dir, ref.path)
		if ref.to != toOperand || isURL(ref.path) {
			continue
		}
		if _, entry, err := b.resolve(name); err != nil || entry.IsDir() {
			continue
		}
		content, err := b.file(name)
		if err != nil {
			return inFile(name, err)
		}
		if err := explainFile(name, content, defined); err != nil {
			return err
		}
	}
	return nil
}

// explainFile finds what is wrong with a file of objects; defined is where those
// of the files before it are.
func explainFile(name string, content []byte, defined map[identity]string) error {
	for _, doc := range documents(content) {
		node, err := doc.decode()
		if err != nil {
			return &Error{File: name, Err: err}
		}
		for _, item := range items(node) {
			obj, err := object(item)
			if err != nil {
				return failure(name, "%s", doc.absolute(err.Error()))
			}
			if err := once(name, obj, defined); err != nil {
				return err
			}
		}
	}
	return nil
}

// once notes that obj is defined in the file name.
func once(name string, obj *unstructured.Unstructured, defined map[identity]string) error {
	id := identify(obj)
	switch other, ok := defined[id]; {
	case ok && other == name:
		return failure(name, "%s is defined twice in this file; remove one", id)
	case ok:
		return failure(name, "%s is already defined in %s; remove one", id, other)
	}
	defined[id] = name
	return nil
}

// items returns the objects in a document: one, none, or those of a list.
func items(node *yaml.Node) []*yaml.Node {
	if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	if node.Kind == 0 || node.ShortTag() == yaml.NodeTagNull || (node.Kind == yaml.MappingNode && len(node.Content) == 0) {
		return nil
	}
	var list *yaml.Node
	isList := false
	for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		switch field := node.Content[i+1]; node.Content[i].Value {
		case "kind":
			isList = strings.HasSuffix(field.Value, "List")
		case "items":
			list = field
		}
	}
	if !isList || list == nil {
		return []*yaml.Node{node}
	}
	return list.Content
}

var lineNumber = regexp.MustCompile(`line (\d+)`)

// absolute makes line numbers in a message count from the top of the file.
func (d document) absolute(message string) string {
	return lineNumber.ReplaceAllStringFunc(message, func(text string) string {
		line, err := strconv.Atoi(strings.TrimPrefix(text, "line "))
		if err != nil {
			return text
		}
		return fmt.Sprintf("line %d", d.line+line)
	})
}

// syntaxError is what the YAML parser says, with the right line. It counts lines
// from 0 in what its grammar finds, from 1 in what its scanner finds, and doesn't
// mention line 0 (go.yaml.in/yaml/v3, parser.fail).
func (d document) syntaxError(err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if !lineNumber.MatchString(message) {
		return fmt.Errorf("line %d: %s", d.line+1, message)
	}
	if strings.Contains(message, "did not find expected") {
		d.line++
	}
	return errors.New(d.absolute(message))
}

// phrase is something that kustomize says, and what we say instead.
type phrase struct {
	theirs *regexp.Regexp
	ours   string
}

// phrases take out of kustomize's messages what it quotes: whole objects and
// patches, which may be secret, in an order that changes. And they say the way
// out, where kustomize speaks of its own command line.
var phrases = []phrase{
	{regexp.MustCompile(`(?s)^.*external plugins disabled; unable to load external plugin '(.*?)'.*$`), "the plugin $1 is not one of kustomize's own; others don't run here: commit what it makes"},
	{regexp.MustCompile(`(?s)^.*must specify --enable-helm.*$`), "charts are not rendered by a kustomization; use a HelmRelease or commit the rendered manifests"},
	{regexp.MustCompile(`(?s)^.*namespace transformation produces ID conflict.*$`), "two objects of the same kind and name end up in one namespace; rename one"},
	{regexp.MustCompile(`(?s)^.*may not add resource with an already registered id: (\S+).*$`), "$1 is defined twice; remove one"},
	{regexp.MustCompile(`(?s)^.*invalid literal source .*$`), "a literal of a generator is not of the form key=value"},
	{regexp.MustCompile(`(?s)^.*line (\d+) has invalid utf8 bytes.*$`), "line $1 of an env file of a generator is not UTF-8"},
	{regexp.MustCompile(`(?s)^.*merging from generator .*\}: `), "generator: "},
	{regexp.MustCompile(`(?s)trouble configuring builtin (\w+) with config: .*\n` + "`: "), "$1: "},
	{regexp.MustCompile(`(?s)merging (config|vars|CRDs) .*\]: `), "merging $1: "},
	{regexp.MustCompile(`(?s)(from|patch:?) \[patch: .*$`), "$1 (inline)"},
	{regexp.MustCompile(`(?s)(must specify one of patch and path|patch and path can't be set at the same time)\n.*$`), "$1"},
	{regexp.MustCompile(`(?s)patch appears to be empty.*$`), "a patch is empty"},
	{regexp.MustCompile(`(?s)(must specify a target for patch).*$`), "$1"},
	{regexp.MustCompile(`(?s) for value .*$`), ""},
	{regexp.MustCompile(`(?s)received error (.*?) for the following resource:.*$`), "$1"},
	{regexp.MustCompile(`(?s)empty item at (\S*) in object.*$`), "a list has an empty item at $1"},
	{regexp.MustCompile(`id resid\.ResId\{.*?Kind:"(.*?)".*?Name:"(.*?)".*?\} (exists|does not exist); .*$`), "$1 $2 $3, which does not go with the behavior of the generator"},
	{regexp.MustCompile(`json: unknown field (".*?")`), "unknown field $1"},
	{regexp.MustCompile(`json: cannot unmarshal (\w+) into Go struct field Kustomization\.(\S+) of type (\S+)`), "$2: has a $1 where a $3 belongs"},
	{regexp.MustCompile(`error converting YAML to JSON: |^invalid Kustomization: |yaml: `), ""},
	{regexp.MustCompile(`(?s)^.*accumulation err='.*': `), ""},
	{regexp.MustCompile(`recursed (accumulation|merging)[^:]*: |accumulating (resources|components): `), ""},
	{regexp.MustCompile(regexp.QuoteMeta(mount) + `(/|\b)`), ""},
}

// maxMessage bounds what is said in one condition.
const maxMessage = 600

// plain is kustomize's error in one line, without what it quotes.
func plain(err error) string {
	text := strings.TrimSpace(err.Error())
	for _, p := range phrases {
		text = p.theirs.ReplaceAllString(text, p.ours)
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
