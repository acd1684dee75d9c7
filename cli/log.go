package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/plumb-gitops/plumb/settings"
)

// newLogger writes structured logs, ours and the libraries'. The levels may
// change later.
func newLogger(out io.Writer, format string, l *levels) (logr.Logger, error) {
	options := &slog.HandlerOptions{Level: slog.LevelDebug} // leveled decides
	var handler slog.Handler
	switch format {
	case "json":
		handler = slog.NewJSONHandler(out, options)
	case "text":
		handler = slog.NewTextHandler(out, options)
	default:
		return logr.Logger{}, usage(fmt.Errorf("--log-format %s: want json or text", format))
	}
	log := logr.FromSlogHandler(leveled{Handler: handler, levels: l})
	ctrllog.SetLogger(log)
	klog.SetLogger(log)
	return log, nil
}

// slogLevels are the levels of the settings.
var slogLevels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "error": slog.LevelError}

// components are the parts that log, by the kind that a line is about.
var components = map[string]string{
	"GitRepository": "source", "OCIRepository": "source", "Bucket": "source", "HelmRepository": "source", "HelmChart": "source", "ExternalArtifact": "source",
	"Kustomization": "kustomize", "HelmRelease": "helm", "FluxConfig": "fluxconfig",
	"Provider": "notification", "Alert": "notification", "Receiver": "notification",
	"ImageRepository": "image", "ImagePolicy": "image", "ImageUpdateAutomation": "image",
}

// leveled lets through what the level of the component allows.
type leveled struct {
	slog.Handler
	levels    *levels
	component string
}

// Enabled implements slog.Handler. A line's kind is known only when it is handled.
func (h leveled) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slogLevels[h.levels.lowest()]
}

// Handle implements slog.Handler. It drops one message of controller-runtime as
// well: that the lease is "lost" when it is given back at the end of a run.
func (h leveled) Handle(ctx context.Context, r slog.Record) error {
	component := h.component
	r.Attrs(func(a slog.Attr) bool {
		component = componentOf(a, component)
		return true
	})
	if r.Level < slogLevels[h.levels.of(component)] || r.Message == "error received after stop sequence was engaged" {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.component = componentOf(a, h.component)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// componentOf is the component that an attribute names, else the one so far.
func componentOf(a slog.Attr, component string) string {
	if slices.Contains([]string{"kind", "controllerKind"}, a.Key) {
		if c, ok := components[a.Value.String()]; ok {
			return c
		}
	}
	return component
}

// logNotes says which settings have no effect.
func logNotes(log logr.Logger, notes []string, s settings.Settings) {
	for _, note := range notes {
		log.Info("a setting has no effect: " + note)
	}
	if s.EnforceTenancy {
		log.Info("tenancy is enforced", "defaultServiceAccount", s.Account())
	}
}
