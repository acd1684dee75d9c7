package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// described are the fields of a body that say nothing of what is wanted.
var described = slices.Concat(reported, []string{"id", "name", "namespace", "type", "resourceGroup", "systemData", "additionalProperties"})

// secrets are the fields of azureBlob and of its service principal that nobody should
// read, with the names of the protected parameters, which are the same.
var secrets = map[string][]string{
	"":                 {clusterconfigv1.AccountKey, clusterconfigv1.SASToken},
	"servicePrincipal": {clusterconfigv1.ClientSecret, clusterconfigv1.ClientCertificate, clusterconfigv1.ClientCertificatePassword},
}

// From is a configuration out of the body of a request to Azure's API, or out of what
// Of shows, in JSON or YAML: its spec, and the protected parameters. A field that there
// is none of is an error.
func From(body []byte) (spec clusterconfigv1.FluxConfigSpec, protected map[string][]byte, err error) {
	fields := map[string]any{}
	if err := yaml.Unmarshal(body, &fields); err != nil {
		return spec, nil, fmt.Errorf("it is neither JSON nor YAML: %w", err)
	}
	if properties, is := fields["properties"].(map[string]any); is {
		fields = properties
	}
	for _, field := range described {
		delete(fields, field)
	}
	if protected, err = settings(fields["configurationProtectedSettings"]); err != nil {
		return spec, nil, err
	}
	delete(fields, "configurationProtectedSettings")
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	if err := parts(fields, protected); err != nil {
		return spec, nil, err
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return spec, nil, err
	}
	return spec, protected, yaml.UnmarshalStrict(raw, &spec, yaml.DisallowUnknownFields)
}

// settings are protected parameters, which the API takes in base64.
func settings(given any) (map[string][]byte, error) {
	out := map[string][]byte{}
	of, _ := given.(map[string]any)
	for key, value := range of {
		text, _ := value.(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("configurationProtectedSettings.%s: want base64", key) // the value is nobody's business
		}
		out[key] = raw
	}
	return out, nil
}

// parts gives the sources, the kustomizations and the durations the form of the kind.
func parts(fields map[string]any, protected map[string][]byte) error {
	for _, name := range sources {
		source, is := fields[name].(map[string]any)
		if !is {
			continue
		}
		if name == "azureBlob" {
			if err := hide(source, protected); err != nil {
				return err
			}
		}
		fields[name] = wanted(source)
	}
	if of, is := fields["kustomizations"].(map[string]any); is {
		var list []any
		for _, name := range slices.Sorted(maps.Keys(of)) {
			k, _ := of[name].(map[string]any)
			k = wanted(k)
			k["name"] = name
			list = append(list, k)
		}
		fields["kustomizations"] = list
	}
	if text, is := fields["reconciliationWaitDuration"].(string); is {
		d, err := fromISO(text)
		if err != nil {
			return fmt.Errorf("reconciliationWaitDuration: %w", err)
		}
		fields["reconciliationWaitDuration"] = d.String()
	}
	return nil
}

// hide takes the secrets out of an azureBlob. The certificate is in base64 there.
func hide(source map[string]any, protected map[string][]byte) error {
	for part, names := range secrets {
		within := source
		if part != "" {
			within, _ = source[part].(map[string]any)
		}
		for _, name := range names {
			text, is := within[name].(string)
			delete(within, name)
			if !is {
				continue
			}
			protected[name] = []byte(text)
			if name != clusterconfigv1.ClientCertificate {
				continue
			}
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return fmt.Errorf("azureBlob.%s.%s: want base64", part, name)
			}
			protected[name] = bytes.Clone(raw)
		}
	}
	return nil
}

// wanted is the opposite of shown.
func wanted(fields map[string]any) map[string]any {
	out := make(map[string]any, len(fields))
	for name, value := range fields {
		if value == nil {
			continue
		}
		for ours, theirs := range renamed {
			if name != theirs {
				continue
			}
			name = ours
			if n, is := value.(float64); is {
				value = (time.Duration(n) * time.Second).String()
			}
		}
		out[name] = value
	}
	return out
}

var iso = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// fromISO reads a duration of days and smaller (ISO 8601), or one of Go's.
func fromISO(text string) (time.Duration, error) {
	parts := iso.FindStringSubmatch(text)
	if parts == nil {
		return time.ParseDuration(text)
	}
	var out time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if parts[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(parts[i+1], 64)
		if err != nil {
			return 0, err
		}
		out += time.Duration(n * float64(unit))
	}
	return out, nil
}
