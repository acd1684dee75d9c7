// Package settings are the settings of Plumb: which there are, what they mean,
// and what is wrong with a value. They come from the ConfigMap plumb-config, a
// file, --config key=value and the flags of the same meaning, the later ones
// winning. Keys and values are those of Azure's microsoft.flux extension where it
// has them. The package decides and touches nothing.
package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Values are settings as they were given, by key.
type Values map[string]string

// Settings are values that were checked, with the defaults of what was not given.
type Settings struct {
	Sources            bool // source-controller.enabled
	Kustomizations     bool // kustomize-controller.enabled
	HelmReleases       bool // helm-controller.enabled
	Notifications      bool // notification-controller.enabled
	ImageReflection    bool // image-reflector-controller.enabled
	ImageAutomation    bool // image-automation-controller.enabled
	EnforceTenancy     bool
	DefaultAccount     string
	Concurrent         int
	StrictSubstitution bool
	AdditiveReadyExpr  bool
	RemoteBases        bool
	VerifyInterval     time.Duration
	DriftRules         string // in the words of drift.ParseRules
	HelmDrift          bool   // helm-controller.detectDrift
	MemoryWatch        MemoryWatch
	HostKeyAlgorithms  []string // of SSH servers, the preferred first; nil for all that are safe
	KubeconfigExec     bool
	KubeconfigInsecure bool
	LogLevel           string
	LogLevels          map[string]string // by component: source, kustomize, helm, notification, image, fluxconfig
	Deployment         Deployment

	values Values // of every key, in one spelling
}

// MemoryWatch says when Helm releases are held back for want of memory.
type MemoryWatch struct {
	Enabled   bool
	Threshold int // percent of the memory limit
	Interval  time.Duration
}

// Deployment are the settings that shape the Deployment.
type Deployment struct {
	Requests, Limits         Resources
	WorkloadIdentity         bool
	AzureClient, AzureTenant string
	KubeletIdentity          bool
	ServiceHostFQDN          bool
}

// Resources are quantities in Kubernetes' notation, "" for none.
type Resources struct{ CPU, Memory string }

// Defaults are the settings when nothing is given.
func Defaults() Settings {
	s, _, err := Parse(nil)
	if err != nil {
		panic(err) // a default of our own that is wrong
	}
	return s
}

// Parse checks values. notes say which of them have no effect in Plumb, and why.
// The error names every key that is wrong, and what would be right.
func Parse(given Values) (s Settings, notes []string, err error) {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := Find(name); !ok {
			errs = append(errs, unknown(name))
		}
	}
	s.values, s.LogLevels = Values{}, map[string]string{}
	for _, key := range Keys() {
		text, ok := given[key.Name]
		if !ok {
			text = key.Default
		}
		if ok && key.note != "" {
			notes = append(notes, key.Name+": "+key.note)
		}
		if text == "" { // as if it was not given
			text = key.Default
		}
		value, err := key.take(&s, strings.TrimSpace(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %q: %w", key.Name, text, err))
		}
		s.values[key.Name] = value
	}
	errs = append(errs, s.agree())
	return s, append(notes, s.notYet(given)...), errors.Join(errs...)
}

// notYet says what is asked for and not done.
func (s *Settings) notYet(given Values) (notes []string) {
	for _, c := range controllers {
		if given[c.name+".enabled"] != "" && *c.on(s) && !c.done {
			notes = append(notes, c.name+".enabled: Plumb does not "+c.does+" yet")
		}
	}
	return notes
}

// agree checks what several settings say together.
func (s *Settings) agree() error {
	i := s.Deployment
	if i.WorkloadIdentity && i.KubeletIdentity {
		return errors.New("workloadIdentity.enable and useKubeletIdentity are both true: one identity can be used, so turn one of them off")
	}
	if !i.WorkloadIdentity && (i.AzureClient != "" || i.AzureTenant != "") {
		return errors.New("workloadIdentity.azureClientId and workloadIdentity.azureTenantId have no effect without workloadIdentity.enable=true")
	}
	return nil
}

// Account is the service account that objects act as which name none, "" for
// Plumb itself.
func (s Settings) Account() string {
	if s.DefaultAccount == "" && s.EnforceTenancy {
		return ApplierAccount
	}
	return s.DefaultAccount
}

// ApplierAccount is whom objects act as under tenancy that name no service
// account, in their own namespace.
const ApplierAccount = "flux-applier"

// Merge puts values over others. An empty value takes a setting back to its
// default.
func Merge(layers ...Values) Values {
	out := Values{}
	for _, layer := range layers {
		maps.Copy(out, layer)
	}
	maps.DeleteFunc(out, func(_, value string) bool { return value == "" })
	return out
}

// Changed are the keys whose meaning differs between two settings, by when the
// change takes effect; sorted.
func Changed(old, now Settings) map[Effect][]string {
	out := map[Effect][]string{}
	for _, key := range Keys() {
		if old.values[key.Name] != now.values[key.Name] {
			out[key.Effect] = append(out[key.Effect], key.Name)
		}
	}
	return out
}
