package fluxconfig

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json" // which reads whole numbers as such

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
)

// standard is the interval and the timeout of what does not say.
const standard = 10 * time.Minute

func duration(d *metav1.Duration) string {
	if d == nil {
		return standard.String()
	}
	return d.Duration.String()
}

// set puts a value that is not empty. What is empty is left to
// additionalConfigurations, and else to the kind's default.
func set(fields map[string]any, name, value string) {
	if value != "" {
		fields[name] = value
	}
}

func setTrue(fields map[string]any, name string, value bool) {
	if value {
		fields[name] = true
	}
}

func encode(value []byte) string { return base64.StdEncoding.EncodeToString(value) }

// decoded is what a field has in base64. The error does not repeat it.
func decoded(field, value string) ([]byte, error) {
	out, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, fmt.Errorf("%s is not in base64", field)
	}
	return out, nil
}

// specify gives a toolkit object its spec as the API server will have it, and the
// digest of that: 5m is 5m0s there, and to write the one over the other would go on
// for ever. What the kind does not know can only come from free additions.
func specify(obj *unstructured.Unstructured, spec map[string]any) error {
	obj.Object["spec"] = spec
	typed := typedOf(obj.GetKind())
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(obj.Object, typed, true); err != nil {
		return fmt.Errorf("additionalConfigurations: a %s cannot have this: %w", obj.GetKind(), err)
	}
	normal, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return err
	}
	obj.Object["spec"] = normal["spec"]
	raw, err := json.Marshal(normal["spec"]) // with sorted names
	if err != nil {
		return err
	}
	annotations := obj.GetAnnotations()
	annotations[clusterconfigv1.DigestAnnotation] = fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
	obj.SetAnnotations(annotations)
	return nil
}

// typedOf is an empty object of one of the kinds that are generated with a spec.
func typedOf(kind string) any {
	switch kind {
	case clusterconfigv1.GitRepositorySource:
		return &sourcev1.GitRepository{}
	case clusterconfigv1.BucketSource:
		return &sourcev1.Bucket{}
	case clusterconfigv1.OCIRepositorySource:
		return &sourcev1.OCIRepository{}
	default:
		return &kustomizev1.Kustomization{}
	}
}

// decode reads a free map.
func decode(free map[string]apiextensionsv1.JSON) (map[string]any, error) {
	out := make(map[string]any, len(free))
	for name, raw := range free {
		var value any
		if err := json.Unmarshal(raw.Raw, &value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = value
	}
	return out, nil
}

// merge puts typed over free: of two maps under one name the result has both's
// entries, of everything else what typed says.
func merge(free, typed map[string]any) map[string]any {
	out := maps.Clone(free)
	if out == nil {
		out = map[string]any{}
	}
	for name, value := range typed {
		under, both := out[name].(map[string]any)
		if over, isMap := value.(map[string]any); both && isMap {
			value = merge(under, over)
		}
		out[name] = value
	}
	return out
}
