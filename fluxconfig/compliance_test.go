package fluxconfig_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	"github.com/plumb-gitops/plumb/fluxconfig"
)

func ready(status metav1.ConditionStatus, generation int64) []metav1.Condition {
	return []metav1.Condition{{Type: "Ready", Status: status, ObservedGeneration: generation}}
}

// waits are the conditions of what another object has to be ready for; for ever in a
// cycle.
func waits(cycle bool) []metav1.Condition {
	out := []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: "DependencyNotReady"}}
	if cycle {
		out = append(out, metav1.Condition{Type: "Stalled", Status: metav1.ConditionTrue, Reason: "DependencyNotReady"})
	}
	return out
}

func TestState(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		of   fluxconfig.Object
		want clusterconfigv1.Compliance
	}{
		{"not there", fluxconfig.Object{}, clusterconfigv1.Unknown},
		{"never reported", fluxconfig.Object{Generation: 1}, clusterconfigv1.Unknown},
		{"never reported, by the default of its kind", fluxconfig.Object{Generation: 1, ObservedGeneration: -1}, clusterconfigv1.Unknown},
		{"suspended", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Suspended: true, Conditions: ready("False", 1)}, clusterconfigv1.Suspended},
		{"not ready", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: ready("False", 1)}, clusterconfigv1.NonCompliant},
		{"at work", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: ready("Unknown", 1)}, clusterconfigv1.Pending},
		{"no word of being ready", fluxconfig.Object{Generation: 1, ObservedGeneration: 1}, clusterconfigv1.Pending},
		{"ready once", fluxconfig.Object{Generation: 2, ObservedGeneration: 1, Conditions: ready("True", 1)}, clusterconfigv1.Pending},
		{"a condition that lags", fluxconfig.Object{Generation: 2, ObservedGeneration: 2, Conditions: ready("True", 1)}, clusterconfigv1.Pending},
		{"ready", fluxconfig.Object{Generation: 2, ObservedGeneration: 2, Conditions: ready("True", 2)}, clusterconfigv1.Compliant},
		{"ready at an older revision", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: ready("True", 1), Offered: "b", Applied: "a"}, clusterconfigv1.Pending},
		{"ready at the revision", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: ready("True", 1), Offered: "b", Applied: "b"}, clusterconfigv1.Compliant},
		{"failed at an older revision", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: ready("False", 1), Offered: "b", Applied: "a"}, clusterconfigv1.NonCompliant},
		{"waits for another", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: waits(false)}, clusterconfigv1.Pending},
		{"waits for itself", fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: waits(true)}, clusterconfigv1.NonCompliant},
		{"ready, in a condition without a generation", fluxconfig.Object{Generation: 2, ObservedGeneration: 2, Conditions: ready("True", 0)}, clusterconfigv1.Compliant},
	} {
		if got := fluxconfig.State(c.of); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestComplianceIsTheWorst(t *testing.T) {
	t.Parallel()
	state := map[clusterconfigv1.Compliance]fluxconfig.Object{
		clusterconfigv1.NonCompliant: {Generation: 1, ObservedGeneration: 1, Conditions: ready("False", 1)},
		clusterconfigv1.Pending:      {Generation: 1, ObservedGeneration: 1, Conditions: ready("Unknown", 1)},
		clusterconfigv1.Suspended:    {Generation: 1, Suspended: true},
		clusterconfigv1.Unknown:      {Generation: 1},
		clusterconfigv1.Compliant:    {Generation: 1, ObservedGeneration: 1, Conditions: ready("True", 1)},
	}
	order := []clusterconfigv1.Compliance{clusterconfigv1.NonCompliant, clusterconfigv1.Pending, clusterconfigv1.Suspended, clusterconfigv1.Unknown, clusterconfigv1.Compliant}
	for i, worse := range order {
		for _, better := range order[i:] {
			if got, _ := fluxconfig.Compliance([]fluxconfig.Object{state[better], state[worse]}, nil); got != worse {
				t.Errorf("%s and %s are %s, want %s", worse, better, got, worse)
			}
		}
	}
	if got, statuses := fluxconfig.Compliance(nil, nil); got != clusterconfigv1.Unknown || len(statuses) != 0 {
		t.Errorf("nothing is %s with %v", got, statuses)
	}
}

func TestStatusHasWhatTheObjectSays(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	by := &clusterconfigv1.ObjectReference{Namespace: "team", Name: "fleet-apps"}
	release := &clusterconfigv1.HelmReleaseProperties{LastRevisionApplied: 2}
	_, got := fluxconfig.Compliance([]fluxconfig.Object{{
		Kind: "HelmRelease", Namespace: "team", Name: "web", AppliedBy: by, Release: release, Generation: 1, ObservedGeneration: 1,
		Conditions: []metav1.Condition{{Type: "Released", Status: "True"}, {Type: "Ready", Status: "True", Reason: "R", Message: "m", LastTransitionTime: now}},
		Offered:    "1.0.0", Applied: "1.0.0",
	}}, nil)
	want := []clusterconfigv1.ObjectStatus{{
		Kind: "HelmRelease", Namespace: "team", Name: "web", AppliedBy: by, HelmReleaseProperties: release, ComplianceState: clusterconfigv1.Compliant,
		Generation: 1, Revision: "1.0.0",
		StatusConditions: []clusterconfigv1.ObjectStatusCondition{{Type: "Ready", Status: "True", Reason: "R", Message: "m", LastTransitionTime: &now}, {Type: "Released", Status: "True", LastTransitionTime: &metav1.Time{}}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestCompliantMeansAll follows random histories of statuses: a configuration is
// never Compliant while an object is not; one that failed counts as that, however
// often it is tried again, until it is compliant or something else is asked of it;
// and in which order objects are looked at does not matter.
func TestCompliantMeansAll(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's
	compliant, kept := 0, 0
	for range 500 {
		objects := make([]fluxconfig.Object, 1+random.IntN(5))
		for i := range objects {
			objects[i] = fluxconfig.Object{Kind: []string{"Kustomization", "HelmRelease"}[i%2], Namespace: "team", Name: fmt.Sprint(i), Generation: 1, Offered: "1", Applied: "1"}
		}
		var last []clusterconfigv1.ObjectStatus
		failing := map[string]fluxconfig.Object{} // as they were asked to be when they failed
		for range 60 {
			step(random, &objects[random.IntN(len(objects))])
			whole, statuses := fluxconfig.Compliance(objects, last)
			all := !slices.ContainsFunc(objects, func(o fluxconfig.Object) bool { return fluxconfig.State(o) != clusterconfigv1.Compliant })
			if all {
				compliant++
			}
			if (whole == clusterconfigv1.Compliant) != all || all && !fluxconfig.Final(objects) {
				t.Fatalf("seed %d: %s with %+v", seed, whole, objects)
			}
			for _, o := range objects {
				note(failing, o)
			}
			if len(failing) > 0 && whole != clusterconfigv1.NonCompliant {
				t.Fatalf("seed %d: %s though %+v failed", seed, whole, failing)
			}
			if len(failing) > 0 && !slices.ContainsFunc(objects, func(o fluxconfig.Object) bool { return fluxconfig.State(o) == clusterconfigv1.NonCompliant }) {
				kept++
			}
			other := slices.Clone(objects)
			random.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
			if again, same := fluxconfig.Compliance(other, last); again != whole || !reflect.DeepEqual(same, statuses) {
				t.Fatalf("seed %d: in another order %s instead of %s: %+v", seed, again, whole, objects)
			}
			last = statuses
		}
	}
	if compliant == 0 || kept == 0 {
		t.Errorf("seed %d: compliant %d times, and %d times while a failure was tried again, so too little was tested", seed, compliant, kept)
	}
}

// note follows which objects failed, apart from what is tested: a failure is over when
// the object is compliant, when something else is asked of it, or when nobody asks any
// more.
func note(failing map[string]fluxconfig.Object, o fluxconfig.Object) {
	was, failed := failing[o.Name]
	switch state := fluxconfig.State(o); {
	case state == clusterconfigv1.NonCompliant:
		failing[o.Name] = o
	case state != clusterconfigv1.Pending, failed && (was.Generation != o.Generation || was.Offered != o.Offered):
		delete(failing, o.Name)
	}
}

// step is one thing that happens to an object; good news is the likeliest.
func step(random *rand.Rand, o *fluxconfig.Object) {
	switch random.IntN(14) {
	case 0:
		o.Generation++
	case 1:
		o.Suspended = !o.Suspended
	case 2, 3:
		o.ObservedGeneration, o.Conditions = o.Generation, ready("False", o.Generation)
	case 4, 5:
		o.ObservedGeneration, o.Conditions = o.Generation, ready("Unknown", o.Generation)
	case 6:
		o.Conditions = nil
	case 7:
		o.Offered = fmt.Sprint(random.IntN(3))
	case 8:
		o.ObservedGeneration, o.Conditions = o.Generation, waits(random.IntN(2) == 0)
	default:
		o.Suspended, o.ObservedGeneration, o.Conditions, o.Applied = false, o.Generation, ready("True", o.Generation), o.Offered
	}
}

func TestGoodNews(t *testing.T) {
	t.Parallel()
	done := fluxconfig.Object{Kind: "Kustomization", Name: "a", Generation: 2, ObservedGeneration: 2, Conditions: ready("True", 2), Offered: "b", Applied: "b"}
	told := func(state clusterconfigv1.Compliance, generation int64, revision string) clusterconfigv1.FluxConfigStatus {
		return clusterconfigv1.FluxConfigStatus{ComplianceState: state, Statuses: []clusterconfigv1.ObjectStatus{{
			Kind: "Kustomization", Name: "a", ComplianceState: state, Generation: generation, Revision: revision,
		}}}
	}
	for _, c := range []struct {
		name string
		of   []fluxconfig.Object
		told clusterconfigv1.FluxConfigStatus
		want bool
	}{
		{"told before", []fluxconfig.Object{done}, told(clusterconfigv1.Compliant, 2, "b"), false},
		{"nothing told", []fluxconfig.Object{done}, clusterconfigv1.FluxConfigStatus{}, true},
		{"pending until now", []fluxconfig.Object{done}, told(clusterconfigv1.Pending, 2, "b"), true},
		{"of another revision", []fluxconfig.Object{done}, told(clusterconfigv1.Compliant, 2, "a"), true},
		{"of an older spec", []fluxconfig.Object{done}, told(clusterconfigv1.Compliant, 1, "b"), true},
		{"of fewer objects", []fluxconfig.Object{done, {Kind: "Z", Generation: 1, ObservedGeneration: 1, Conditions: ready("True", 1)}}, told(clusterconfigv1.Compliant, 2, "b"), true},
		{"no good news", []fluxconfig.Object{done, {Generation: 1}}, told(clusterconfigv1.Compliant, 2, "b"), false},
	} {
		if got := fluxconfig.GoodNews(c.of, c.told); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}

func TestFinal(t *testing.T) {
	t.Parallel()
	stalled := func(generation int64) fluxconfig.Object {
		return fluxconfig.Object{Generation: 2, ObservedGeneration: generation, Conditions: append(ready("False", generation), metav1.Condition{Type: "Stalled", Status: "True", ObservedGeneration: generation})}
	}
	done := fluxconfig.Object{Generation: 1, ObservedGeneration: 1, Conditions: ready("True", 1)}
	for _, c := range []struct {
		name string
		of   []fluxconfig.Object
		want bool
	}{
		{"nothing", nil, false},
		{"done", []fluxconfig.Object{done, {Suspended: true}}, true},
		{"one to come", []fluxconfig.Object{done, {Generation: 1}}, false},
		{"a failure that is retried", []fluxconfig.Object{done, {Generation: 1, ObservedGeneration: 1, Conditions: ready("False", 1)}}, false},
		{"stalled", []fluxconfig.Object{{Generation: 1}, stalled(2)}, true},
		{"stalled by an older spec", []fluxconfig.Object{done, stalled(1)}, false},
	} {
		if got := fluxconfig.Final(c.of); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
