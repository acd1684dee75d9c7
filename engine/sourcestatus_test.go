package engine

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plumb-gitops/plumb/api/meta"
	sourcev1 "github.com/plumb-gitops/plumb/api/source/v1"
	"github.com/plumb-gitops/plumb/fetch"
	"github.com/plumb-gitops/plumb/source"
)

func snapshotAt(revision string) source.Snapshot {
	return source.Snapshot{Revision: revision, Digest: "sha256:" + strings.Repeat("0", 64), Tree: source.MemoryTree{"a.yaml": "a"}}
}

func TestSourceOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		reason string
		next   Next
	}{
		{"fetched", nil, meta.SucceededReason, Done},
		{"any error is tried again", errBroken, sourcev1.GitOperationFailedReason, Retry},
		{"refused credentials are tried again", fmt.Errorf("fetch: %w", &source.AuthError{Err: errBroken}), sourcev1.AuthenticationFailedReason, Retry},
		{"an address that is none stalls", fmt.Errorf("fetch: %w", &source.InvalidError{Err: errBroken}), sourcev1.GitOperationFailedReason, Stall},
		{"a missing Secret is waited for", &fetch.Error{Reason: sourcev1.AuthenticationFailedReason, On: "Secret/apps/key", Err: errBroken}, sourcev1.AuthenticationFailedReason, Wait},
		{"an empty source is tried again", fmt.Errorf("fetch: %w", &fetch.Error{Reason: sourcev1.EmptySourceReason, Err: errBroken}), sourcev1.EmptySourceReason, Retry},
		{"what the kind says itself goes before the cause", &fetch.Error{Reason: sourcev1.GitOperationFailedReason, Err: &source.AuthError{Err: errBroken}}, sourcev1.GitOperationFailedReason, Retry},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := Outcome{Reason: test.reason, Next: test.next}
			if test.next == Wait {
				want.On = []string{"Secret/apps/key"}
			}
			if test.err == nil {
				want.Revision, want.Message = rev1, "stored artifact for revision '"+rev1+"'"
			} else {
				want.Message = test.err.Error()
			}
			if got := sourceOutcome(gitKind(t), repository(), snapshotAt(rev1), test.err); !reflect.DeepEqual(got, want) {
				t.Errorf("outcome is %+v, want %+v", got, want)
			}
		})
	}
}

// gitKind is the kind of GitRepositories, with folders of the test's own.
func gitKind(t *testing.T) fetch.Kind {
	t.Helper()
	backends, err := fetch.Open(t.TempDir(), fetch.Options{Limits: source.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	return backends.Kinds[0]
}

// gitStatus is the status of a repository after a fetch that ended so.
func gitStatus(obj *sourcev1.GitRepository, snapshot source.Snapshot, out Outcome, now metav1.Time) sourcev1.GitRepositoryStatus {
	e := &Engine{now: func() time.Time { return now.Time }}
	next := obj.DeepCopy()
	if out.Ready() {
		_ = e.store(context.Background(), sourceName{Kind: sourcev1.GitRepositoryKind, NamespacedName: client.ObjectKeyFromObject(obj)}, next, snapshot) // only others' kinds fail
		next.Status.ObservedIgnore = next.Spec.Ignore
	}
	describe(next, out, snapshot.Verified, nil)
	return next.Status
}

// repository was fetched at noon, at generation 1.
func repository() *sourcev1.GitRepository {
	obj := &sourcev1.GitRepository{}
	obj.Namespace, obj.Name, obj.Generation = "apps", "repo", 1
	obj.Status = gitStatus(obj, snapshotAt(rev1), Outcome{Reason: meta.SucceededReason, Message: "stored artifact for revision '" + rev1 + "'"}, metav1.NewTime(noon))
	for n := range obj.Status.Conditions {
		obj.Status.Conditions[n].LastTransitionTime = metav1.NewTime(noon)
	}
	obj.Generation = 2
	return obj
}

func TestGitStatusConditions(t *testing.T) {
	t.Parallel()
	const reason = sourcev1.GitOperationFailedReason
	fetched := repository()
	failedBefore := repository()
	failedBefore.Status = gitStatus(failedBefore, source.Snapshot{}, Outcome{Reason: reason, Next: Stall, Message: "why"}, metav1.NewTime(noon))
	tests := []struct {
		name string
		obj  *sourcev1.GitRepository
		out  Outcome
		want map[string]string
	}{
		{"the first fetch", &sourcev1.GitRepository{}, Outcome{Reason: meta.SucceededReason}, map[string]string{"Ready": "True Succeeded", "ArtifactInStorage": "True Succeeded"}},
		{"the first fetch failed", &sourcev1.GitRepository{}, Outcome{Reason: reason, Next: Retry}, map[string]string{"Ready": "False " + reason, "FetchFailed": "True " + reason}},
		{"a later fetch failed: the artifact stays in use", fetched, Outcome{Reason: reason, Next: Retry}, map[string]string{"Ready": "False " + reason, "FetchFailed": "True " + reason, "ArtifactInStorage": "True Succeeded"}},
		{"it stalled", fetched, Outcome{Reason: reason, Next: Stall}, map[string]string{"Ready": "False " + reason, "FetchFailed": "True " + reason, "Stalled": "True " + reason, "ArtifactInStorage": "True Succeeded"}},
		{"it waits for a Secret", fetched, Outcome{Reason: sourcev1.AuthenticationFailedReason, Next: Wait}, map[string]string{"Ready": "False AuthenticationFailed", "FetchFailed": "True AuthenticationFailed", "ArtifactInStorage": "True Succeeded"}},
		{"recovered", failedBefore, Outcome{Reason: meta.SucceededReason}, map[string]string{"Ready": "True Succeeded", "ArtifactInStorage": "True Succeeded"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := test.obj.DeepCopy()
			s := gitStatus(test.obj, snapshotAt(rev1), test.out, metav1.NewTime(noon))
			if got := conditions(s.Conditions); !maps.Equal(got, test.want) {
				t.Errorf("conditions are %v, want %v", got, test.want)
			}
			for _, c := range s.Conditions {
				want := test.obj.Generation
				if c.Type == sourcev1.ArtifactInStorageCondition && !test.out.Ready() {
					want = 1 // for which it was fetched
				}
				if c.ObservedGeneration != want {
					t.Errorf("observed generation of %s is %d, want %d", c.Type, c.ObservedGeneration, want)
				}
			}
			if s.ObservedGeneration != test.obj.Generation {
				t.Errorf("observed generation is %d, want %d", s.ObservedGeneration, test.obj.Generation)
			}
			if !reflect.DeepEqual(test.obj, before) {
				t.Error("the object changed")
			}
		})
	}
}

func TestGitStatusArtifact(t *testing.T) {
	t.Parallel()
	later := metav1.NewTime(noon.Add(time.Hour))
	other := snapshotAt(rev1)
	other.Digest = "sha256:" + strings.Repeat("1", 64)
	tests := []struct {
		name     string
		snapshot source.Snapshot
		out      Outcome
		revision string
		updated  time.Time
	}{
		{"the same commit leaves it as it is", snapshotAt(rev1), Outcome{}, rev1, noon},
		{"another commit", snapshotAt(rev2), Outcome{}, rev2, later.Time},
		{"other content of the same commit, such as after a change of spec.ignore", other, Outcome{}, rev1, later.Time},
		{"a failure keeps it", source.Snapshot{}, Outcome{Next: Retry}, rev1, noon},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := gitStatus(repository(), test.snapshot, test.out, later).Artifact
			if a.Revision != test.revision || !a.LastUpdateTime.Time.Equal(test.updated) {
				t.Errorf("artifact is %s of %s, want %s of %s", a.Revision, a.LastUpdateTime, test.revision, test.updated)
			}
			if want := "gitrepository/apps/repo/" + archiveName(source.Snapshot{Revision: test.revision}); a.Path != want || !strings.HasSuffix(a.URL, "/"+want) {
				t.Errorf("path is %s, address is %s, want %s", a.Path, a.URL, want)
			}
		})
	}
}

func TestArtifactSaysWhatTheSnapshotDoes(t *testing.T) {
	t.Parallel()
	s := snapshotAt(rev2)
	s.Metadata, s.Archive = map[string]string{"org.opencontainers.image.source": "https://git.example.com"}, &source.Archive{Hash: strings.Repeat("2", 64), Size: 7}
	a := gitStatus(repository(), s, Outcome{}, metav1.NewTime(noon)).Artifact
	if !maps.Equal(a.Metadata, s.Metadata) || a.Size == nil || *a.Size != 7 || a.Digest != "sha256:"+s.Archive.Hash {
		t.Errorf("the artifact is %+v", a)
	}
}

func TestGitStatusOfTheSameEndIsTheSame(t *testing.T) {
	t.Parallel()
	for _, out := range []Outcome{{Reason: meta.SucceededReason}, {Reason: sourcev1.GitOperationFailedReason, Next: Retry, Message: "why"}} {
		obj := repository()
		obj.Status = gitStatus(obj, snapshotAt(rev1), out, metav1.NewTime(noon))
		again := gitStatus(obj, snapshotAt(rev1), out, metav1.NewTime(noon.Add(time.Hour)))
		if !reflect.DeepEqual(again, obj.Status) {
			t.Errorf("%s: status is\n%+v\nafter\n%+v", out.Reason, again, obj.Status)
		}
	}
}

func TestGitStatusKeepsTheTimeOfAStatusThatStays(t *testing.T) {
	t.Parallel()
	s := gitStatus(repository(), snapshotAt(rev2), Outcome{Reason: meta.SucceededReason, Message: "new"}, metav1.Now())
	ready := apimeta.FindStatusCondition(s.Conditions, meta.ReadyCondition)
	if !ready.LastTransitionTime.Time.Equal(noon) || ready.Message != "new" {
		t.Errorf("condition is %+v, want the new message and the old time", ready)
	}
}

func TestGitStatusAnswersARequestAndNotesTheIgnoreRules(t *testing.T) {
	t.Parallel()
	ignore := "*.md"
	obj := repository()
	obj.Spec.Ignore = &ignore
	obj.Annotations = map[string]string{meta.ReconcileRequestAnnotation: "today"}
	failed := gitStatus(obj, source.Snapshot{}, Outcome{Next: Retry}, metav1.Now())
	if failed.LastHandledReconcileAt != "today" || failed.ObservedIgnore != nil {
		t.Errorf("status is %+v: want the request handled, and the rules of the artifact in use", failed)
	}
	ready := gitStatus(obj, snapshotAt(rev2), Outcome{}, metav1.Now())
	if ready.ObservedIgnore == nil || *ready.ObservedIgnore != ignore {
		t.Errorf("observed rules are %v, want %q", ready.ObservedIgnore, ignore)
	}
}

func TestArchiveIsNamedByTheCommit(t *testing.T) {
	t.Parallel()
	for revision, want := range map[string]string{"main@sha1:abc": "abc", "sha1:abc": "abc", "refs/pull/7/head@sha1:abc": "abc", "abc": "abc", "": ""} {
		if got := archiveName(source.Snapshot{Revision: revision}); got != want+".tar.gz" {
			t.Errorf("the archive of %q is %q, want %q", revision, got, want)
		}
	}
}
