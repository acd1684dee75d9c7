package settings

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Effect is when a change of a setting takes effect in a running Plumb.
type Effect string

// The effects.
const (
	Live      Effect = "live"    // at once
	Restart   Effect = "restart" // the process starts anew by itself
	Reinstall Effect = "install" // `plumb install` shapes the Deployment by it
	None      Effect = "none"    // accepted; Plumb needs no such setting
)

// Key is one setting.
type Key struct {
	Name    string
	Default string
	Want    string // what values are right
	Meaning string
	Flag    string // the flag of `plumb run` for the same, "" for none
	Effect  Effect
	RunOnly bool // the flag is of `plumb run` alone

	note string // why it has no effect
	set  func(s *Settings, text string) (value string, err error)
}

// IsSwitch tells whether the values are true and false.
func (k Key) IsSwitch() bool { return k.Want == wantBool }

// take checks a value and notes what it means. The value that comes back is the
// same for all texts that mean the same.
func (k Key) take(s *Settings, text string) (string, error) {
	if text == "" && k.Default == "" {
		if k.IsSwitch() {
			text = "false"
		} else {
			return "", nil
		}
	}
	return k.set(s, text)
}

// Keys are all settings, in the order of their names.
func Keys() []Key { return allKeys() }

// Find is the setting of a name.
func Find(name string) (Key, bool) {
	keys := allKeys()
	i, ok := slices.BinarySearchFunc(keys, name, func(k Key, name string) int { return strings.Compare(k.Name, name) })
	if !ok {
		return Key{}, false
	}
	return keys[i], true
}

// controllers are those of the toolkit whose work Plumb does, with the component
// that logs for them and whether they are on by default.
var controllers = []struct {
	name, component, enabled string
	on                       func(*Settings) *bool
	does                     string
	done                     bool // Plumb does it
}{
	{"source-controller", "source", "true", func(s *Settings) *bool { return &s.Sources }, "fetch sources", true},
	{"kustomize-controller", "kustomize", "true", func(s *Settings) *bool { return &s.Kustomizations }, "work on Kustomizations", true},
	{"helm-controller", "helm", "true", func(s *Settings) *bool { return &s.HelmReleases }, "work on HelmReleases", true},
	{"notification-controller", "notification", "true", func(s *Settings) *bool { return &s.Notifications }, "send notifications and receive webhooks", false},
	{"image-reflector-controller", "image", "false", func(s *Settings) *bool { return &s.ImageReflection }, "look for new images", false},
	{"image-automation-controller", "image", "false", func(s *Settings) *bool { return &s.ImageAutomation }, "write new images to Git", false},
}

var allKeys = sync.OnceValue(func() []Key {
	keys := slices.Concat(engineKeys(), remoteKeys(), helmKeys(), platformKeys(), agentKeys())
	for _, c := range controllers {
		keys = append(keys, Key{Name: c.name + ".enabled", Default: c.enabled, Want: wantBool, Effect: Restart, Meaning: c.does, set: boolean(c.on)})
		keys = append(keys, levelKey(c.name, c.component, "debug", "info", "error"))
		keys = append(keys, resourceKeys(c.name)...)
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
})

// engineKeys are about how units are worked on.
func engineKeys() []Key {
	return []Key{
		{
			Name: "multiTenancy.enforce", Want: wantBool, Effect: Restart,
			Meaning: "refuse references to other namespaces, and let objects without a service account act as " + ApplierAccount,
			set:     boolean(func(s *Settings) *bool { return &s.EnforceTenancy }),
		},
		{
			Name: "default-service-account", Want: wantName, Flag: "default-service-account", Effect: Restart,
			Meaning: "service account that objects act as which name none (default: Plumb's own rights)",
			set:     text(wantName, isName, func(s *Settings) *string { return &s.DefaultAccount }),
		},
		{
			Name: "kustomize-controller.concurrent", Default: "8", Want: wantCount, Flag: "concurrent", Effect: Restart,
			Meaning: "how many objects are worked on at once",
			set:     count(1, 1000, func(s *Settings) *int { return &s.Concurrent }),
		},
		{
			Name: "kustomize-controller.requeue-dependency", Want: wantDuration, Effect: None, Meaning: "how often a missing dependency is looked for",
			note: "nothing polls: who waits for a dependency is woken in the moment that it is ready",
			set:  ignoredDuration,
		},
		{
			Name: "kustomize-controller.enable-in-memory-build", Want: wantBool, Effect: None, Meaning: "build without temporary files",
			note: "every build is in memory", set: ignoredBool,
		},
		{
			Name: "kustomize-controller.strict-substitution-mode", Default: "true", Want: wantBool, Flag: "strict-substitution", Effect: Restart,
			Meaning: "refuse manifests with ${variables} that are not defined and have no default",
			set:     boolean(func(s *Settings) *bool { return &s.StrictSubstitution }),
		},
		{
			Name: "additive-ready-expr", Want: wantBool, Flag: "additive-ready-expr", Effect: Restart,
			Meaning: "ask of a dependency with a readyExpr to be Ready as well",
			set:     boolean(func(s *Settings) *bool { return &s.AdditiveReadyExpr }),
		},
		{
			Name: "allow-remote-bases", Want: wantBool, Flag: "allow-remote-bases", Effect: Restart,
			Meaning: "let kustomizations load bases from other addresses",
			set:     boolean(func(s *Settings) *bool { return &s.RemoteBases }),
		},
		{
			Name: "verify-interval", Default: "6h0m0s", Want: wantDuration, Flag: "verify-interval", Effect: Restart,
			Meaning: "how often everything is looked at anew, as a safety net",
			set:     duration(func(s *Settings) *time.Duration { return &s.VerifyInterval }),
		},
		{
			Name: "drift-rules", Want: "names of rules, see docs/drift.md", Flag: "drift-rules", Effect: Restart,
			Meaning: "built-in drift rules: all are on but those named with a minus, as in -hpa-replicas; after none only those named",
			set:     text("names of rules", isAny, func(s *Settings) *string { return &s.DriftRules }),
		},
		hostKeyKey("source-controller"),
		hostKeyKey("image-automation-controller"),
	}
}

// remoteKeys are about other clusters.
func remoteKeys() []Key {
	return []Key{
		{
			Name: "insecure-kubeconfig-exec", Want: wantBool, Flag: "insecure-kubeconfig-exec", Effect: Restart,
			Meaning: "let kubeconfigs out of Secrets run programs of this machine",
			set:     boolean(func(s *Settings) *bool { return &s.KubeconfigExec }),
		},
		{
			Name: "insecure-kubeconfig-tls", Want: wantBool, Flag: "insecure-kubeconfig-tls", Effect: Restart,
			Meaning: "let kubeconfigs out of Secrets skip the verification of certificates",
			set:     boolean(func(s *Settings) *bool { return &s.KubeconfigInsecure }),
		},
	}
}

func hostKeyKey(controller string) Key {
	return Key{
		Name: controller + ".ssh-host-key-args", Want: wantHostKeys, Effect: Restart,
		Meaning: "host keys that SSH servers may prove themselves with, the preferred first", set: hostKeys,
	}
}

// helmKeys are about Helm releases.
func helmKeys() []Key {
	return []Key{
		{
			Name: "helm-controller.detectDrift", Want: wantBool, Effect: Restart,
			Meaning: "put drift of releases back whose driftDetection says nothing",
			set:     boolean(func(s *Settings) *bool { return &s.HelmDrift }),
		},
		{
			Name: "helm-controller.outOfMemoryWatch.enabled", Flag: "memory-watch", RunOnly: true, Want: wantBool, Effect: Restart,
			Meaning: "end actions cleanly and exit with code 4, to be started anew, before the memory limit is reached",
			set:     boolean(func(s *Settings) *bool { return &s.MemoryWatch.Enabled }),
		},
		{
			Name: "helm-controller.outOfMemoryWatch.memoryThreshold", Flag: "memory-threshold", RunOnly: true, Default: "95", Want: "a percentage from 1 to 100", Effect: Restart,
			Meaning: "how much of the memory limit may be in use, in percent", set: count(1, 100, func(s *Settings) *int { return &s.MemoryWatch.Threshold }),
		},
		{
			Name: "helm-controller.outOfMemoryWatch.interval", Flag: "memory-interval", RunOnly: true, Default: "500ms", Want: wantDuration, Effect: Restart,
			Meaning: "how often to look at the memory in use", set: duration(func(s *Settings) *time.Duration { return &s.MemoryWatch.Interval }),
		},
	}
}

// platformKeys shape the Deployment.
func platformKeys() []Key {
	return []Key{
		{
			Name: "workloadIdentity.enable", Want: wantBool, Effect: Reinstall, Meaning: "let Azure trust Plumb's service account",
			set: boolean(func(s *Settings) *bool { return &s.Deployment.WorkloadIdentity }),
		},
		{
			Name: "workloadIdentity.azureClientId", Want: wantGUID, Effect: Reinstall, Meaning: "client that Plumb's service account stands for",
			set: text(wantGUID, isGUID, func(s *Settings) *string { return &s.Deployment.AzureClient }),
		},
		{
			Name: "workloadIdentity.azureTenantId", Want: wantGUID, Effect: Reinstall, Meaning: "tenant of that client",
			set: text(wantGUID, isGUID, func(s *Settings) *string { return &s.Deployment.AzureTenant }),
		},
		{
			Name: "useKubeletIdentity", Want: wantBool, Effect: Reinstall, Meaning: "use the managed identity of the node at Azure, and no other",
			set: boolean(func(s *Settings) *bool { return &s.Deployment.KubeletIdentity }),
		},
		{
			Name: "setKubeServiceHostFqdn", Want: wantBool, Effect: Reinstall, Meaning: "let AKS name the API server to the pod by its domain name",
			set: boolean(func(s *Settings) *bool { return &s.Deployment.ServiceHostFQDN }),
		},
	}
}

// agentKeys are about logs, those of the extension's own parts included.
func agentKeys() []Key {
	return []Key{
		{
			Name: "log-level", Default: "info", Want: "debug, info or error", Flag: "log-level", Effect: Live, Meaning: "debug, info, error",
			set: level(func(s *Settings, v string) { s.LogLevel = v }, "debug", "info", "error"),
		},
		levelKey("fluxconfig-agent", "fluxconfig", "info", "error"),
		levelKey("fluxconfig-controller", "fluxconfig", "info", "error"),
	}
}

func levelKey(controller, component string, levels ...string) Key {
	return Key{
		Name: controller + ".log-level", Want: list(levels), Effect: Live, Meaning: "log level of this part (default: log-level)",
		set: level(func(s *Settings, v string) { s.LogLevels[component] = lower(s.LogLevels[component], v) }, levels...),
	}
}

// resourceKeys are what a container of the toolkit was given. Plumb is one
// process, and takes the largest that any of them asks for.
func resourceKeys(controller string) []Key {
	var keys []Key
	for _, r := range []struct {
		name, what string
		at         func(*Settings) *string
	}{
		{"limits.cpu", "CPU limit", func(s *Settings) *string { return &s.Deployment.Limits.CPU }},
		{"limits.memory", "memory limit", func(s *Settings) *string { return &s.Deployment.Limits.Memory }},
		{"requests.cpu", "CPU request", func(s *Settings) *string { return &s.Deployment.Requests.CPU }},
		{"requests.memory", "memory request", func(s *Settings) *string { return &s.Deployment.Requests.Memory }},
	} {
		keys = append(keys, Key{
			Name: controller + ".resources." + r.name, Want: wantQuantity, Effect: Reinstall,
			Meaning: r.what + "; the largest of all parts counts, since Plumb is one process", set: largest(r.at),
		})
	}
	return keys
}
