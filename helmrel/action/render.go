package action

import (
	"bytes"

	helmpostrender "helm.sh/helm/v3/pkg/postrender"
	"helm.sh/helm/v3/pkg/release"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel/postrender"
	"github.com/plumb-gitops/plumb/helmrel/render"
)

// hooked is a post renderer that also has the hooks. The SDK hands over the objects
// alone, and what hooks share with them (a certificate made in the template of both)
// must not be made twice: where the two go in one stream, chart and values are
// rendered once more, and all of that is taken in the place of what the SDK rendered.
type hooked struct {
	*postrender.Renderer
	render func() (*render.Output, error)
	hooks  []*release.Hook // once it ran
	ran    bool
}

// Run implements the SDK's PostRenderer.
func (h *hooked) Run(*bytes.Buffer) (*bytes.Buffer, error) {
	out, err := h.render()
	if err != nil {
		return nil, err
	}
	var manifest string
	manifest, h.hooks, err = h.Combined(out.Manifest, out.Hooks)
	h.ran = err == nil
	return bytes.NewBufferString(manifest), err
}

// postRenderer is the post renderer for the SDK, nil for none, and what it does about
// hooks, which finish needs.
func (j *Job) postRenderer(upgrade bool) helmpostrender.PostRenderer {
	r := j.PostRenderer
	if r == nil {
		return nil
	}
	j.Records.Finish = func(rel *release.Release) (err error) {
		if rel.Hooks, err = r.Hooks(rel.Hooks); err != nil {
			return err
		}
		return j.finish(rel)
	}
	if r.Strategy != helmv2.PostRenderCombined || !postrender.HasHooks(j.Chart) {
		return r
	}
	h := &hooked{Renderer: r, render: func() (*render.Output, error) { return j.rendered(upgrade) }}
	j.Records.Finish = func(rel *release.Release) error {
		if h.ran {
			rel.Hooks = h.hooks
		}
		return j.finish(rel)
	}
	return h
}

// rendered is what the chart renders, as the SDK does it: by now it has settled in the
// job's own copy which dependencies and which former values count.
func (j *Job) rendered(upgrade bool) (*render.Output, error) {
	return j.render(upgrade, j.Values, true) // the SDK has checked the values
}

func (j *Job) render(upgrade bool, values map[string]any, skipSchema bool) (*render.Output, error) {
	config, err := j.Getter.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	in := render.Input{
		Chart: j.Chart, Values: values, Name: j.Wish.Name, Namespace: j.Wish.Namespace, Upgrade: upgrade,
		Capabilities: j.Capabilities, Cluster: config, SkipSchema: skipSchema,
	}
	if upgrade {
		in.Revision = j.newest() + 1
	}
	return render.Render(in)
}
