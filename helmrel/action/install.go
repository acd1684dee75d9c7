package action

import (
	"fmt"
	"time"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel"
)

// install makes the release for the first time, or again after a try that was
// interrupted or undone: its record then stands on top of those before.
func (j Job) install() error {
	spec := helmv2.Install{}
	if j.Wish.Spec.Install != nil {
		spec = *j.Wish.Spec.Install
	}
	timeout := j.timeout(spec.Timeout)
	policy := spec.CRDs
	if policy == "" && spec.SkipCRDs {
		policy = helmv2.CRDsSkip
	}
	replaces, err := j.replaces(spec.Replace)
	if err != nil {
		return err
	}
	if err := j.definitions(policy, timeout); err != nil {
		return err
	}
	a := helmaction.NewInstall(j.configuration())
	a.ReleaseName, a.Namespace = j.Wish.Name, j.Wish.Namespace
	a.SkipCRDs = true // they are there by now, see definitions
	a.Replace = replaces
	a.Timeout = timeout
	a.CreateNamespace = spec.CreateNamespace
	a.DisableHooks = spec.DisableHooks
	a.DisableOpenAPIValidation, a.SkipSchemaValidation = spec.DisableOpenAPIValidation, spec.DisableSchemaValidation
	a.TakeOwnership = !spec.DisableTakeOwnership
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.PostRenderer = j.postRenderer(false)
	_, err = a.Run(j.Chart, j.Values)
	return err
}

// replaces tells whether the install goes on top of a record. That of a try which was
// interrupted or failed it always does; that of a release which was uninstalled and
// kept its history, when the spec says so.
func (j Job) replaces(wished bool) (bool, error) {
	records, err := j.Records.Records()
	if err != nil || len(records) == 0 {
		return false, err
	}
	if records[0].Status == release.StatusUninstalled && !wished {
		return false, fmt.Errorf("the name is in use by %s, which was uninstalled and kept its history: "+
			"set spec.install.replace to install on top of it, or delete its records", records[0])
	}
	return true, nil
}

// definitions brings the chart's CustomResourceDefinitions to the cluster before
// anything is rendered.
func (j Job) definitions(policy string, timeout time.Duration) error {
	if policy == "" {
		policy = helmv2.CRDsCreate
	}
	var files [][]byte
	for _, crd := range j.Chart.CRDObjects() {
		files = append(files, crd.File.Data)
	}
	if len(files) == 0 || policy == helmv2.CRDsSkip {
		return nil
	}
	return j.Definitions(files, policy, timeout)
}

func (j Job) timeout(own *metav1.Duration) time.Duration {
	if own != nil {
		return own.Duration
	}
	return j.Timeout
}

// uninstall removes the release. Without a record there is nothing to remove.
func (j Job) uninstall(t helmrel.Target) error {
	spec := helmv2.Uninstall{}
	if j.Wish.Spec.Uninstall != nil {
		spec = *j.Wish.Spec.Uninstall
	}
	a := helmaction.NewUninstall(j.configuration())
	a.Timeout = j.timeout(spec.Timeout)
	a.IgnoreNotFound = true
	a.DisableHooks, a.KeepHistory, a.Wait = spec.DisableHooks, spec.KeepHistory, !spec.DisableWait
	a.DeletionPropagation = spec.DeletionPropagation
	if a.DeletionPropagation == "" {
		a.DeletionPropagation = "background"
	}
	_, err := a.Run(t.Name)
	return err
}
