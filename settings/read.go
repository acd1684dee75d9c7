package settings

import (
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// FromArguments reads key=value arguments. Later ones win.
func FromArguments(arguments []string) (Values, error) {
	out := Values{}
	for _, argument := range arguments {
		key, value, ok := strings.Cut(argument, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%q: want key=value, such as multiTenancy.enforce=true", argument)
		}
		out[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return out, nil
}

// FromFile reads YAML: keys with their values, or a ConfigMap whose data they are.
func FromFile(raw []byte) (Values, error) {
	fields := map[string]any{}
	if err := yaml.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("it is no YAML of keys and values: %w", err)
	}
	if fields["kind"] == "ConfigMap" {
		data, ok := fields["data"].(map[string]any)
		if !ok {
			return nil, errors.New("the ConfigMap has no data")
		}
		fields = data
	}
	out := Values{}
	for key, value := range fields {
		switch v := value.(type) {
		case string:
			out[key] = v
		case bool, float64, int64:
			out[key] = fmt.Sprint(v)
		case nil:
			out[key] = ""
		default:
			return nil, fmt.Errorf("%s: want one value, not a list or a map: write the key in full, such as multiTenancy.enforce: true", key)
		}
	}
	return out, nil
}
