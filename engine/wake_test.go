package engine

import (
	"context"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/build"
	"github.com/plumb-gitops/plumb/dag"
	"github.com/plumb-gitops/plumb/source"
)

// TestWakeUsersChangedFirst: of all units of a source, those come first for which
// there is something new in it, but behind what is at work already.
func TestWakeUsersChangedFirst(t *testing.T) {
	t.Parallel()
	name := sourceName{Kind: "GitRepository", NamespacedName: types.NamespacedName{Namespace: "ns", Name: "repo"}}
	e := &Engine{
		units:     &units{set: map[types.NamespacedName]*unit{}, cycles: map[types.NamespacedName]bool{}},
		snapshots: newSnapshots(), sourceUses: newSourceUses(),
		releases: &releaseUnits{graph: dag.New(byName), set: map[types.NamespacedName]*releaseUnit{}},
	}
	queue := priorityqueue.New[reconcile.Request]("units")
	t.Cleanup(queue.ShutDown)
	e.unitAlarm.queue = queue
	tree := source.MemoryTree{}
	const changed = "e"
	for _, path := range []string{"a", "b", "c", "d", changed, "f", "g", "h"} {
		tree[path+"/config.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + path + "}\n"
		built, err := build.Kustomization(t.Context(), tree, build.Spec{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		u := e.units.getOrAdd(types.NamespacedName{Namespace: "ns", Name: path})
		k := &kustomizev1.Kustomization{Spec: kustomizev1.KustomizationSpec{SourceRef: kustomizev1.CrossNamespaceSourceReference{Kind: name.Kind, Name: name.Name}}}
		k.Namespace, k.Name = "ns", path
		u.object, u.reads, u.whole = k, built.Reads, true
		e.sourceUses.buildsFrom(k)
		// Its last pass has asked for the next one, by the clock.
		again, err := behind{reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			return reconcile.Result{RequeueAfter: time.Hour}, nil
		})}.Reconcile(t.Context(), reconcile.Request{NamespacedName: u.name})
		if err != nil {
			t.Fatal(err)
		}
		queue.AddWithOpts(priorityqueue.AddOpts{After: again.RequeueAfter, Priority: again.Priority}, reconcile.Request{NamespacedName: u.name})
	}
	tree[changed+"/config.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n"
	e.snapshots.set(name, source.Snapshot{Revision: "main@sha1:2", Tree: tree})
	e.wakeUsers(name)
	woken := types.NamespacedName{Namespace: "ns", Name: "woken by the cluster"}
	e.wakeUnits(woken)
	for _, want := range []string{woken.Name, changed} {
		if got, _ := queue.Get(); got.Name != want {
			t.Errorf("%s comes, want %s", got.Name, want)
		}
	}
}

// BenchmarkWakeUsers wakes the one user of a chart, beside so many other releases with a
// chart of their own: what they are many of costs nothing.
func BenchmarkWakeUsers(b *testing.B) {
	for _, releases := range []int{100, 10000} {
		b.Run(strconv.Itoa(releases), func(b *testing.B) {
			e := &Engine{units: &units{set: map[types.NamespacedName]*unit{}}, snapshots: newSnapshots(), sourceUses: newSourceUses(), releases: newReleaseUnits(b.Context(), 1, false)}
			charts := make([]sourceName, releases)
			for i := range charts {
				hr := &helmv2.HelmRelease{Spec: helmv2.HelmReleaseSpec{Chart: &helmv2.HelmChartTemplate{}}}
				hr.Namespace, hr.Name = "ns", strconv.Itoa(i)
				e.releases.getOrAdd(client.ObjectKeyFromObject(hr)).object = hr
				e.sourceUses.installsFrom(hr)
				kind, name := hr.GetChart()
				charts[i] = sourceName{Kind: kind, NamespacedName: name}
			}
			for i := 0; b.Loop(); i++ {
				e.wakeUsers(charts[i%releases])
			}
		})
	}
}
