package build

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/plumb-gitops/plumb/build/decrypt"
)

// kustomize writes out YAML aliases where they stand. It does so without any
// limit (kyaml v0.21.1, RNode.DeAnchor): an alias inside its own anchor
// overflows the stack, which ends the process, and nested ones grow
// exponentially. So every text is checked before kustomize sees it.

const (
	// maxNodes bounds a document with its aliases written out. The largest that
	// etcd takes is 1.5 MiB.
	maxNodes = 1_000_000
	// maxEmbedded is how deep YAML may be embedded as text in YAML: a patch in a
	// transformer in a kustomization is two.
	maxEmbedded = 4
)

var errAliases = errors.New("YAML aliases that contain themselves or multiply beyond bounds are refused")

// file returns the content of a file as the build wants it.
func (b *builder) file(name string) ([]byte, error) {
	if content, ok := b.overlay[name]; ok {
		return content, nil
	}
	if content, ok := b.plain[name]; ok {
		return content, nil
	}
	content, err := b.read(name)
	if err != nil {
		return nil, err
	}
	if b.spec.Decrypt != nil && decrypt.Encrypted(name, content) {
		if content, err = b.decrypted(name, content); err != nil {
			return nil, b.undecrypted(name, err)
		}
		b.plain[name] = content
	}
	if err := checkAliases(content, maxEmbedded); err != nil {
		return nil, &Error{File: name, Err: err}
	}
	return content, nil
}

func mayAlias(text []byte) bool {
	return bytes.IndexByte(text, '&') >= 0 && bytes.IndexByte(text, '*') >= 0
}

// checkAliases looks at every document of a text, and at YAML that is embedded
// in it. Text that is no YAML has no aliases.
func checkAliases(text []byte, depth int) error {
	if depth == 0 || !mayAlias(text) {
		return nil
	}
	for _, doc := range documents(text) {
		node, err := doc.decode()
		if err != nil {
			continue
		}
		w := writer{depth: depth, sizes: map[*yaml.Node]int{}}
		if _, err := w.size(node); err != nil {
			return err
		}
	}
	return nil
}

// writer counts the nodes of a document with its aliases written out, each node
// of the document once.
type writer struct {
	depth int
	sizes map[*yaml.Node]int // 0 while a node is being counted
}

func (w *writer) size(node *yaml.Node) (int, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if size, seen := w.sizes[node]; seen {
		if size == 0 {
			return 0, errAliases
		}
		return size, nil
	}
	w.sizes[node] = 0
	if node.Kind == yaml.ScalarNode {
		if err := checkAliases([]byte(node.Value), w.depth-1); err != nil {
			return 0, err
		}
	}
	size := 1
	for _, child := range node.Content {
		more, err := w.size(child)
		if err != nil {
			return 0, err
		}
		if size += more; size > maxNodes {
			return 0, errAliases
		}
	}
	w.sizes[node] = size
	return size, nil
}

// document is one of the documents in a text.
type document struct {
	line int // the number of lines before it
	text string
}

// separator is where kustomize splits a text into documents
// (kio.ByteReader; it takes the first document of each part).
var separator = regexp.MustCompile(`\n---.*\n`)

func documents(content []byte) []document {
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	var docs []document
	begin, line := 0, 0
	add := func(end, next int) {
		docs = append(docs, document{line: line, text: text[begin:end]})
		line += strings.Count(text[begin:next], "\n")
		begin = next
	}
	for _, at := range separator.FindAllStringIndex(text, -1) {
		// The line break that begins a separator ends the last line before it.
		add(at[0]+1, at[1])
	}
	add(len(text), len(text))
	return docs
}

// decode parses a document; an empty one is a node without content.
func (d document) decode() (*yaml.Node, error) {
	node := &yaml.Node{}
	err := yaml.NewDecoder(strings.NewReader(d.text)).Decode(node)
	if errors.Is(err, io.EOF) {
		return &yaml.Node{}, nil
	}
	if err != nil {
		return nil, d.syntaxError(err)
	}
	return node, nil
}
