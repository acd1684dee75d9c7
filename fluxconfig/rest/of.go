// Package rest is a FluxConfig in the shape of Azure's REST API, which scripts and
// templates were written for: durations in seconds, kustomizations by name, what
// came of it beside what was asked for. It decides and touches nothing.
package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	wholenumbers "k8s.io/apimachinery/pkg/util/json" // reads whole numbers as such

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
)

// Type is what the API calls a configuration.
const Type = "Microsoft.KubernetesConfiguration/fluxConfigurations"

// renamed are the fields that are called otherwise: ours, and the API's.
var renamed = map[string]string{"ref": "repositoryRef", "timeout": "timeoutInSeconds", "syncInterval": "syncIntervalInSeconds", "retryInterval": "retryIntervalInSeconds"}

// sources are the fields of the spec that hold a source.
var sources = []string{"gitRepository", "bucket", "azureBlob", "ociRepository"}

// reported are the fields of the status that the API has.
var reported = []string{"provisioningState", "complianceState", "errorMessage", "repositoryPublicKey", "sourceSyncedCommitId", "sourceUpdatedAt", "statusUpdatedAt", "statuses"}

// own are fields of the spec that the API has elsewhere, or not at all.
var own = []string{"protectedParametersSecretRef", "correlationId", "operationId"}

// Of is a configuration as the API shows it, with its properties at the top, as
// Azure's command line prints it. Secrets are not part of it.
func Of(fc *clusterconfigv1.FluxConfig) (map[string]any, error) {
	spec, status := map[string]any{}, map[string]any{}
	if err := convert(fc.Spec, &spec); err != nil {
		return nil, err
	}
	if err := convert(fc.Status, &status); err != nil {
		return nil, err
	}
	for _, field := range own {
		delete(spec, field)
	}
	out := map[string]any{"name": fc.Name, "namespace": fc.Namespace, "type": Type, "suspend": false, "statuses": []any{}, "errorMessage": "", "repositoryPublicKey": "",
		"complianceState": string(clusterconfigv1.Unknown)}
	maps.Copy(out, spec)
	for _, field := range sources {
		if source, is := spec[field].(map[string]any); is {
			out[field] = shown(source)
		}
	}
	out["kustomizations"] = byName(spec["kustomizations"])
	if d := fc.Spec.ReconciliationWaitDuration; d != nil {
		out["reconciliationWaitDuration"] = isoDuration(d.Duration)
	}
	for _, field := range reported {
		if value, is := status[field]; is {
			out[field] = value
		}
	}
	return out, nil
}

func convert(from any, to *map[string]any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return wholenumbers.Unmarshal(raw, to)
}

// shown is a source or kustomization with the API's names and seconds.
func shown(fields map[string]any) map[string]any {
	out := make(map[string]any, len(fields))
	for name, value := range fields {
		theirs, other := renamed[name]
		if !other {
			out[name] = value
			continue
		}
		if text, is := value.(string); is {
			value = seconds(text)
		}
		out[theirs] = value
	}
	return out
}

// seconds rounds up: the API knows whole ones only.
func seconds(text string) any {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text // the API server has let it in
	}
	return int64(math.Ceil(d.Seconds()))
}

func byName(list any) map[string]any {
	out := map[string]any{}
	entries, _ := list.([]any)
	for _, entry := range entries {
		if fields, is := entry.(map[string]any); is {
			name, _ := fields["name"].(string)
			out[name] = shown(fields)
		}
	}
	return out
}

// isoDuration is of the form PT1H30M (ISO 8601).
func isoDuration(d time.Duration) string {
	var out strings.Builder
	out.WriteString("PT")
	if h := d / time.Hour; h > 0 {
		fmt.Fprintf(&out, "%dH", h)
	}
	if m := d % time.Hour / time.Minute; m > 0 {
		fmt.Fprintf(&out, "%dM", m)
	}
	if s := (d % time.Minute).Seconds(); s > 0 || d < time.Second {
		fmt.Fprintf(&out, "%gS", s)
	}
	return out.String()
}
