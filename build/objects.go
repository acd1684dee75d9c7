package build

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// convert takes the objects out of what kustomize built. It goes from YAML nodes
// to values directly: by way of text, which is how kustomize itself would, it
// takes as long as the build.
func convert(built resmap.ResMap) ([]*unstructured.Unstructured, error) {
	objects := make([]*unstructured.Unstructured, 0, built.Size())
	names := map[identity]bool{}
	for _, resource := range built.Resources() {
		obj, err := object(resource.YNode())
		if err != nil {
			return nil, err
		}
		id := identify(obj)
		if names[id] {
			return nil, fmt.Errorf("%s is defined twice", id)
		}
		names[id] = true
		objects = append(objects, obj)
	}
	return objects, nil
}

// identity is what makes two manifests the same object: the version doesn't.
type identity struct {
	schema.GroupKind
	namespace, name string
}

func identify(obj *unstructured.Unstructured) identity {
	return identity{obj.GroupVersionKind().GroupKind(), obj.GetNamespace(), obj.GetName()}
}

// String is "Kind.group namespace/name".
func (id identity) String() string {
	if id.namespace == "" {
		return id.GroupKind.String() + " " + id.name
	}
	return id.GroupKind.String() + " " + id.namespace + "/" + id.name
}

// object makes an object of a YAML document. Errors name the line or the field.
func object(node *yaml.Node) (*unstructured.Unstructured, error) {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	content, err := value(node, false)
	if err != nil {
		return nil, err
	}
	fields, ok := content.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("line %d: is not a Kubernetes object; keep other YAML files out of the source (.sourceignore, spec.ignore), or list the manifests in a kustomization.yaml", node.Line)
	}
	obj := &unstructured.Unstructured{Object: fields}
	return obj, check(obj)
}

// check refuses what no API server takes as an object.
func check(obj *unstructured.Unstructured) error {
	for _, field := range [][]string{{"kind"}, {"apiVersion"}, {"metadata", "name"}} {
		if err := checkField(obj, field...); err != nil {
			return err
		}
	}
	if _, err := schema.ParseGroupVersion(obj.GetAPIVersion()); err != nil {
		return fmt.Errorf("%s %s: apiVersion: %w", obj.GetKind(), obj.GetName(), err)
	}
	if _, _, err := unstructured.NestedString(obj.Object, "metadata", "namespace"); err != nil {
		return fmt.Errorf("%s %s: metadata.namespace is not a text; put it in quotes", obj.GetKind(), obj.GetName())
	}
	for _, field := range []string{"labels", "annotations"} {
		if _, _, err := unstructured.NestedNullCoercingStringMap(obj.Object, "metadata", field); err != nil {
			return fmt.Errorf("%s %s: metadata.%s has values that are not texts; put them in quotes", obj.GetKind(), obj.GetName(), field)
		}
	}
	return nil
}

// checkField refuses an object without a text in one of the fields that name it.
func checkField(obj *unstructured.Unstructured, field ...string) error {
	subject := "object"
	if obj.GetKind() != "" {
		subject = obj.GetKind()
	}
	if obj.GetName() != "" {
		subject += " " + obj.GetName()
	}
	name := field[0]
	if len(field) > 1 {
		name += "." + field[1]
	}
	found, _, err := unstructured.NestedFieldNoCopy(obj.Object, field...)
	if _, isMap := obj.Object["metadata"].(map[string]any); err != nil || (len(field) > 1 && !isMap) {
		return fmt.Errorf("%s: %s is missing", subject, name)
	}
	text, ok := found.(string)
	if found != nil && !ok {
		return fmt.Errorf("%s: %s is not a text; put it in quotes", subject, name)
	}
	if text != "" {
		return nil
	}
	if obj.GetGenerateName() != "" && name == "metadata.name" {
		return fmt.Errorf("%s: metadata.name is missing; generateName makes a new object at each apply", subject)
	}
	return fmt.Errorf("%s: %s is missing", subject, name)
}

// value makes what kustomize's output of a node, decoded as the API server does,
// would be. inFlow says that the node is inside of {} or [].
func value(node *yaml.Node, inFlow bool) (any, error) {
	inFlow = inFlow || node.Style&yaml.FlowStyle != 0
	switch node.Kind {
	case yaml.MappingNode:
		return mapping(node, inFlow)
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, child := range node.Content {
			item, err := value(child, inFlow)
			if err != nil {
				return nil, err
			}
			list[i] = item
		}
		return list, nil
	case yaml.ScalarNode:
		if inFlow && node.Value == "" {
			return "", nil // {a: } is written as {a: ""}, since flow has no way to write nothing
		}
		return scalar(node)
	case yaml.AliasNode:
		return value(node.Alias, inFlow) // checked: no alias contains itself
	case yaml.DocumentNode:
		return nil, fmt.Errorf("line %d: is a document inside a document", node.Line)
	default: // a node of no kind is what an empty document leaves
		return nil, nil
	}
}

func mapping(node *yaml.Node, inFlow bool) (any, error) {
	fields := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != yaml.NodeTagString {
			return nil, fmt.Errorf("line %d: the key %q is not a text; put it in quotes", key.Line, key.Value)
		}
		if _, twice := fields[key.Value]; twice {
			return nil, fmt.Errorf("line %d: the key %q is there twice", key.Line, key.Value)
		}
		child, err := value(node.Content[i+1], inFlow)
		if err != nil {
			return nil, err
		}
		fields[key.Value] = child
	}
	return fields, nil
}

func scalar(node *yaml.Node) (any, error) {
	if node.ShortTag() == yaml.NodeTagString {
		return node.Value, nil
	}
	var decoded any
	if err := node.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("line %d: the value does not fit its tag %s", node.Line, node.ShortTag())
	}
	switch v := decoded.(type) {
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("line %d: the value is not UTF-8; a Secret's data or a ConfigMap's binaryData take base64 as text", node.Line)
		}
		return v, nil
	case nil, bool, int64:
		return v, nil
	case int:
		return int64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		return number(v, node.Line)
	}
	// A time: JSON has it as text.
	text, err := json.Marshal(decoded)
	if err != nil {
		return nil, fmt.Errorf("line %d: the value has no form in JSON", node.Line)
	}
	return strconv.Unquote(string(text))
}

// number is v, whole if its shortest decimal form is: that is what JSON would have.
func number(v float64, line int) (any, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("line %d: the value is not a number that JSON has", line)
	}
	if whole, err := strconv.ParseInt(strconv.FormatFloat(v, 'f', -1, 64), 10, 64); err == nil {
		return whole, nil
	}
	return v, nil
}
