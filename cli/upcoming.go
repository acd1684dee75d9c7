package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
	"github.com/plumb-gitops/plumb/apply"
	"github.com/plumb-gitops/plumb/engine"
	"github.com/plumb-gitops/plumb/preview"
)

// upcoming adds to what a dry run says what would come of the HelmReleases that it would
// bring or change. The engine has looked at those on the cluster as they are there.
func (o *once) upcoming(ctx context.Context, t *tracker, s *summary) error {
	u := preview.Upcoming{Cluster: o.cluster, Sources: o.options.Sources}
	any := false
	for _, id := range slices.Sorted(maps.Keys(t.planned)) {
		obj := t.planned[id]
		if obj.GetKind() == kustomizev1.KustomizationKind && t.worksIn(obj.GetNamespace()) {
			s.leaveOut(id)
		}
		if obj.GetKind() == helmv2.HelmReleaseKind {
			if !t.worksIn(obj.GetNamespace()) {
				continue
			}
			any = true
		}
		u.Objects = append(u.Objects, obj)
	}
	if !any {
		return nil
	}
	prospects, err := u.Prospects(ctx)
	for _, p := range prospects {
		s.foretell(p)
	}
	return err
}

// leaveOut says of a Kustomization that the run would bring or change what was not looked
// at: the engine builds those that are on the cluster, as they are there.
func (s *summary) leaveOut(id string) {
	at, there := slices.BinarySearchFunc(s.Objects, id, func(r report, id string) int { return strings.Compare(r.ID, id) })
	if there {
		s.Objects[at].LeftOut = "what the change of its own spec would do: it is built as it is on the cluster"
		return
	}
	s.Objects = slices.Insert(s.Objects, at, report{
		ID: id, State: string(planned), LeftOut: "what it would bring: it is built once it is on the cluster, or by plumb build",
	})
}

// foretell puts what would become of a release in the place of what was said of it.
func (s *summary) foretell(p preview.Prospect) {
	r := report{ID: helmv2.HelmReleaseKind + "/" + p.Name, State: string(ready)}
	at := slices.IndexFunc(s.Objects, func(old report) bool { return old.ID == r.ID })
	if at < 0 {
		at, _ = slices.BinarySearchFunc(s.Objects, r, func(a, b report) int { return strings.Compare(a.ID, b.ID) })
		s.Objects = slices.Insert(s.Objects, at, r)
	}
	for _, c := range s.Objects[at].Changes {
		if !c.Hook {
			s.Counts[c.Action]--
		}
	}
	r.Source = s.Objects[at].Source
	r.Revision, r.Message = p.Version, fmt.Sprintf("would %s", p.Action)
	if p.LeftOut != "" {
		r.State, r.Message, r.LeftOut = string(planned), "", "what it would bring: "+p.LeftOut
	}
	if p.Err != nil {
		r.State, r.Reason, r.Message, s.Result = string(failed), meta.FailedReason, p.Err.Error(), resultFailed
	}
	for _, c := range p.Changes {
		if c.Action == apply.Unchanged {
			r.Unchanged++
			continue
		}
		r.Changes = append(r.Changes, change{ID: c.Key.String(), Action: string(c.Action), Detail: c.Reason, Fields: c.Fields})
		s.Counts[string(c.Action)]++
	}
	for _, h := range p.Hooks {
		r.Changes = append(r.Changes, change{ID: h.Key.String(), Action: engine.RunHook, Detail: h.At, Hook: true})
	}
	s.Counts["unchanged"] += r.Unchanged - s.Objects[at].Unchanged
	s.Objects[at] = r
}
