package engine

import (
	"errors"

	clusterconfigv1 "github.com/plumb-gitops/plumb/api/clusterconfig/v1alpha1"
	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/api/meta"
)

// progress is how a pass over a configuration ended, for who follows a run. One that
// is put into effect waits for those of its objects that are not compliant: what
// comes of them comes of it.
func (p *configPass) progress(failure error, attempts int) Progress {
	out := Progress{Kind: clusterconfigv1.FluxConfigKind, Name: p.name, Suspended: p.object.Spec.Suspend, Objects: len(p.wanted), Attempts: attempts}
	status := p.object.Status
	switch {
	case failure != nil:
		out.Outcome = Outcome{Reason: meta.FailedReason, Message: failure.Error(), Next: Retry}
		if f := new(Failure); errors.As(failure, &f) {
			out.Outcome.Reason, out.Outcome.Next, out.Outcome.On = f.Reason, f.Next, f.On
		}
	case status.ProvisioningState == clusterconfigv1.ProvisioningFailed:
		out.Outcome = Outcome{Reason: clusterconfigv1.TimeoutReason, Message: status.ErrorMessage, Next: Stall}
	default:
		out.Outcome = waitsForCompliance(status)
	}
	out.Outcome.Actions = p.actions
	return out
}

func waitsForCompliance(status clusterconfigv1.FluxConfigStatus) Outcome {
	out := complianceOutcome(status)
	out.Revision, out.Next = status.SourceSyncedCommitID, Done
	for _, o := range status.Statuses {
		if o.ComplianceState != clusterconfigv1.Compliant && o.ComplianceState != clusterconfigv1.Suspended {
			out.On = append(out.On, o.Kind+"/"+o.Namespace+"/"+o.Name)
			out.Reason, out.Next = kustomizev1.DependencyNotReadyReason, Wait
		}
	}
	return out
}
