package postrender

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
)

// Apply changes what a chart rendered: its objects, and its hooks as the strategy says.
// A patch may make a hook of an object, and the other way round.
func (r *Renderer) Apply(manifest string, hooks []*release.Hook) (string, []*release.Hook, error) {
	if r.Strategy == helmv2.PostRenderCombined && len(hooks) > 0 {
		return r.Combined(manifest, hooks)
	}
	out, err := r.Run(bytes.NewBufferString(manifest))
	if err != nil {
		return "", nil, err
	}
	hooks, err = r.Hooks(hooks)
	return out.String(), hooks, err
}

// Combined sends objects and hooks through in one stream, so that a patch finds its
// target among both.
func (r *Renderer) Combined(manifest string, hooks []*release.Hook) (string, []*release.Hook, error) {
	out, err := r.Run(bytes.NewBufferString(manifest + "\n" + stream(hooks)))
	if err != nil {
		return "", nil, r.advised(err, manifest, hooks)
	}
	after, objects, err := apart(out.String(), hooks)
	if err != nil {
		return "", nil, err
	}
	text := strings.Builder{}
	for _, m := range objects {
		fmt.Fprintf(&text, "---\n%s\n", m.Content)
	}
	return text.String(), after, nil
}

// advised adds the way out to an error that only both together lead to, such as a hook
// that is called as an object is.
func (r *Renderer) advised(err error, manifest string, hooks []*release.Hook) error {
	for _, one := range []string{manifest, stream(hooks)} {
		if _, alone := r.Run(bytes.NewBufferString(one)); alone != nil {
			return err
		}
	}
	return fmt.Errorf("%w; or set spec.postRenderStrategy to %s, which sends hooks on their own, or to %s, which leaves them as they are",
		err, helmv2.PostRenderSeparate, helmv2.PostRenderNoHooks)
}

// Hooks sends hooks through in a stream of their own, unless they are to stay as they
// are.
func (r *Renderer) Hooks(hooks []*release.Hook) ([]*release.Hook, error) {
	if r.Strategy == helmv2.PostRenderNoHooks || len(hooks) == 0 {
		return hooks, nil
	}
	out, err := r.Run(bytes.NewBufferString(stream(hooks)))
	if err != nil {
		return nil, fmt.Errorf("hooks: %w", err)
	}
	after, objects, err := apart(out.String(), hooks)
	if err != nil {
		return nil, err
	}
	if len(objects) > 0 {
		return nil, fmt.Errorf("spec.postRenderers: %s/%s is a hook no more, which only spec.postRenderStrategy %s allows",
			objects[0].Head.Kind, objects[0].Head.Metadata.Name, helmv2.PostRenderCombined)
	}
	return after, nil
}

// HasHooks tells whether a chart, or one that it depends on, may render hooks.
func HasHooks(ch *chart.Chart) bool {
	return slices.ContainsFunc(ch.Templates, func(f *chart.File) bool { return bytes.Contains(f.Data, []byte(release.HookAnnotation)) }) ||
		slices.ContainsFunc(ch.Dependencies(), HasHooks)
}

func stream(hooks []*release.Hook) string {
	text := strings.Builder{}
	for _, hook := range hooks {
		fmt.Fprintf(&text, "---\n%s\n", hook.Manifest)
	}
	return text.String()
}

// apart takes a stream apart again. A hook keeps the name of the file that it came from.
func apart(text string, before []*release.Hook) ([]*release.Hook, []releaseutil.Manifest, error) {
	hooks, objects, err := releaseutil.SortManifests(map[string]string{"manifest.yaml": text}, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, nil, fmt.Errorf("spec.postRenderers: %w", err)
	}
	for _, hook := range hooks {
		at := slices.IndexFunc(before, func(h *release.Hook) bool { return h.Kind == hook.Kind && h.Name == hook.Name })
		if at >= 0 {
			hook.Path = before[at].Path
		}
	}
	return hooks, objects, nil
}
