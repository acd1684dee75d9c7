package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cli-utils/pkg/object"

	"github.com/plumb-gitops/plumb/install"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/settings"
)

// settingFlags are what the command line says of settings. Each place wins over
// those before: the command's own defaults, the ConfigMap, --config-file,
// --config, and the flags that have a setting's name.
type settingFlags struct {
	defaults  settings.Values
	configMap string
	file      string
	arguments []string
	flags     settings.Values
}

func (f *settingFlags) add(flags *pflag.FlagSet, defaults settings.Values) {
	f.defaults, f.flags = defaults, settings.Values{}
	f.addGiven(flags)
	flags.StringVar(&f.configMap, "config-map", "", "ConfigMap with settings, as NAMESPACE/NAME (default: plumb-config beside the engine's pod)")
	for _, key := range settings.Keys() {
		if key.Flag != "" && !key.RunOnly {
			f.addOne(flags, key)
		}
	}
}

// addGiven adds the flags that any setting can be given with.
func (f *settingFlags) addGiven(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.arguments, "config", nil, "a setting, as key=value; repeatable (docs/settings.md lists them)")
	flags.StringVar(&f.file, "config-file", "", "YAML file with settings, or with a ConfigMap of them")
}

// addRunOnly adds the flags of settings that a single run has no use for.
func (f *settingFlags) addRunOnly(flags *pflag.FlagSet) {
	for _, key := range settings.Keys() {
		if key.RunOnly {
			f.addOne(flags, key)
		}
	}
}

func (f *settingFlags) addOne(flags *pflag.FlagSet, key settings.Key) {
	v := &settingFlag{key: key, fallback: cmp.Or(f.defaults[key.Name], key.Default), given: f.flags}
	flag := flags.VarPF(v, key.Flag, "", key.Meaning)
	if key.IsSwitch() {
		flag.NoOptDefVal = "true"
	}
}

// settingFlag is a flag that means the same as a setting.
type settingFlag struct {
	key      settings.Key
	fallback string
	given    settings.Values
}

// String implements pflag.Value.
func (f *settingFlag) String() string {
	if f.given == nil { // pflag asks a zero value
		return ""
	}
	if v, ok := f.given[f.key.Name]; ok {
		return v
	}
	if f.fallback == "" && f.key.IsSwitch() {
		return "false"
	}
	return f.fallback
}

// Set implements pflag.Value.
func (f *settingFlag) Set(text string) error {
	if _, _, err := settings.Parse(settings.Values{f.key.Name: text}); err != nil {
		return fmt.Errorf("want %s", f.key.Want)
	}
	f.given[f.key.Name] = text
	return nil
}

// Type implements pflag.Value.
func (f *settingFlag) Type() string {
	if f.key.IsSwitch() {
		return "bool"
	}
	return "string"
}

// given are the values of the command line alone.
func (f *settingFlags) given() (settings.Values, error) {
	values := settings.Values{}
	if f.file != "" {
		raw, err := os.ReadFile(f.file)
		if err != nil {
			return nil, usage(fmt.Errorf("--config-file: %w", err))
		}
		if values, err = settings.FromFile(raw); err != nil {
			return nil, usage(fmt.Errorf("--config-file %s: %w", f.file, err))
		}
		if _, _, err := settings.Parse(values); err != nil {
			return nil, usage(fmt.Errorf("--config-file %s: %w", f.file, err))
		}
	}
	arguments, err := settings.FromArguments(f.arguments)
	if err != nil {
		return nil, usage(fmt.Errorf("--config: %w", err))
	}
	if _, _, err := settings.Parse(arguments); err != nil {
		return nil, usage(fmt.Errorf("--config: %w", err))
	}
	out := settings.Values{}
	for _, layer := range []settings.Values{values, arguments, f.flags} {
		for key, value := range layer {
			out[key] = value // an empty one too: it takes the ConfigMap's back
		}
	}
	return out, nil
}

// merge puts what the command line says over the values of the ConfigMap.
func (f *settingFlags) merge(configMap settings.Values) (settings.Settings, []string, error) {
	if _, _, err := settings.Parse(configMap); err != nil {
		return settings.Settings{}, nil, fmt.Errorf("ConfigMap %s: %w", f.configMap, err)
	}
	given, err := f.given()
	if err != nil {
		return settings.Settings{}, nil, err
	}
	s, notes, err := settings.Parse(settings.Merge(f.defaults, configMap, given))
	if err != nil {
		return s, nil, usage(err)
	}
	return s, notes, nil
}

// load reads the settings of the ConfigMap and the command line.
func (f *settingFlags) load(ctx context.Context, cluster *kube.Cluster) (settings.Settings, []string, error) {
	var values settings.Values
	key, ok, err := f.key()
	if err != nil {
		return settings.Settings{}, nil, err
	}
	if ok {
		found, err := cluster.Get(ctx, key)
		if err != nil && !apierrors.IsNotFound(err) {
			return settings.Settings{}, nil, fmt.Errorf("%s: %w", key, err)
		}
		if err == nil {
			values = valuesIn(found)
		}
	}
	return f.merge(values)
}

// key names the ConfigMap; there may be none outside of a cluster.
func (f *settingFlags) key() (key kube.Key, ok bool, err error) {
	if f.configMap == "" && ownNamespace() != "" {
		f.configMap = ownNamespace() + "/" + install.ConfigMap
	}
	if f.configMap == "" {
		return kube.Key{}, false, nil
	}
	namespace, name, ok := strings.Cut(f.configMap, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return kube.Key{}, false, usage(fmt.Errorf("--config-map %s: want NAMESPACE/NAME", f.configMap))
	}
	return configMapKey(namespace, name), true, nil
}

func configMapKey(namespace, name string) kube.Key {
	return kube.Key{ObjMetadata: object.ObjMetadata{Namespace: namespace, Name: name, GroupKind: schema.GroupKind{Kind: "ConfigMap"}}, Version: "v1"}
}

func valuesIn(configMap *unstructured.Unstructured) settings.Values {
	data, _, err := unstructured.NestedStringMap(configMap.Object, "data")
	if err != nil {
		return nil // the server has checked its form
	}
	return data
}

// restartError ends a run whose settings changed; the process starts anew.
type restartError struct{ settings []string }

// Error implements error.
func (r *restartError) Error() string {
	return "settings changed that are read at the start: " + strings.Join(r.settings, ", ")
}

// follow watches the ConfigMap until ctx ends. What can take effect at once does;
// else it returns a *restartError. Values that are wrong are logged and not used.
func (f *settingFlags) follow(ctx context.Context, cluster *kube.Cluster, current settings.Settings, log logr.Logger, levels *levels) error {
	key, ok, err := f.key()
	if err != nil || !ok {
		return err
	}
	var restart *restartError
	err = until(ctx, cluster, key, func(found *unstructured.Unstructured) bool {
		var values settings.Values
		if found != nil {
			values = valuesIn(found)
		}
		next, _, err := f.merge(values)
		if err != nil {
			log.Error(err, "settings not used: those from before stay in effect")
			return false
		}
		changed := settings.Changed(current, next)
		if names := changed[settings.Restart]; len(names) > 0 {
			restart = &restartError{names}
			return true
		}
		if names := changed[settings.Live]; len(names) > 0 {
			levels.set(next)
			log.Info("settings in effect", "settings", names)
		}
		if names := changed[settings.Reinstall]; len(names) > 0 {
			log.Info("settings take effect with `plumb install`, which shapes the Deployment by them", "settings", names)
		}
		current = next
		return false
	})
	switch {
	case restart != nil:
		return restart
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the run is over
	default:
		return err
	}
}

// again starts the process anew in its own place: same arguments, same number, so
// that whoever supervises it sees no crash. All was closed before.
func again() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := syscall.Exec(program, os.Args, os.Environ()); err != nil { //nolint:gosec // it is this very program
		return fmt.Errorf("start %s anew: %w", program, err)
	}
	return nil
}

// levels are the log levels in use; they may change while the process runs.
type levels struct {
	now atomic.Pointer[settings.Settings]
}

func (l *levels) set(s settings.Settings) { l.now.Store(&s) }

// of is the level of a component, "" for what belongs to none.
func (l *levels) of(component string) string {
	s := l.now.Load()
	return cmp.Or(s.LogLevels[component], s.LogLevel)
}

// lowest is the level that lets the most through.
func (l *levels) lowest() string {
	s := l.now.Load()
	all := []string{s.LogLevel}
	for _, level := range s.LogLevels {
		all = append(all, level)
	}
	for _, level := range []string{"debug", "info"} {
		if slices.Contains(all, level) {
			return level
		}
	}
	return "error"
}

var errOff = errors.New("a single run needs source-controller.enabled and kustomize-controller.enabled")
