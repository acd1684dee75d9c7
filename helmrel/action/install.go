package action

import (
	"errors"
	"fmt"
	"strings"
	"time"

	helmaction "helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	helmv2 "github.com/plumb-gitops/plumb/api/helm/v2"
	"github.com/plumb-gitops/plumb/helmrel"
)

// install makes the release for the first time, or again after a try that was
// interrupted or undone: its record then stands on top of those before.
func (j Job) install(before []helmrel.Record) error {
	spec := helmv2.Install{}
	if j.Wish.Spec.Install != nil {
		spec = *j.Wish.Spec.Install
	}
	timeout := j.timeout(spec.Timeout)
	if err := replaces(spec.Replace, top(before)); err != nil {
		return err
	}
	if err := j.ready(helmrel.Install, timeout, before); err != nil {
		return err
	}
	a := helmaction.NewInstall(j.configuration())
	a.ReleaseName, a.Namespace = j.Wish.Name, j.Wish.Namespace
	a.SkipCRDs = true // they are there by now, see definitions
	a.Replace = true
	a.Timeout = timeout
	a.CreateNamespace = spec.CreateNamespace
	a.DisableHooks = spec.DisableHooks
	a.DisableOpenAPIValidation, a.SkipSchemaValidation = spec.DisableOpenAPIValidation, spec.DisableSchemaValidation
	a.TakeOwnership = !spec.DisableTakeOwnership
	a.Wait, a.WaitForJobs = !spec.DisableWait, !spec.DisableWaitForJobs
	a.PostRenderer = j.postRenderer(false)
	_, err := a.Run(j.Chart, j.Values)
	return err
}

// replaces tells whether the install may go on top of a record. On that of a try which
// was interrupted or failed it always may; on that of a release which was uninstalled
// and kept its history, when the spec says so.
func replaces(wished bool, below helmrel.Record) error {
	if below.Status == release.StatusUninstalled && !wished {
		return fmt.Errorf("the name is in use by %s, which was uninstalled and kept its history: "+
			"set spec.install.replace to install on top of it, or delete its records", below)
	}
	return nil
}

// ready makes the cluster ready for an action that renders a chart.
func (j Job) ready(action helmrel.Action, timeout time.Duration, before []helmrel.Record) error {
	if err := j.clear(timeout, before); err != nil {
		return err
	}
	return j.definitions(action, timeout)
}

// clear removes hooks that an action left which did not get to its end. They were
// to go, and stand in the way of those that come.
func (j Job) clear(timeout time.Duration, before []helmrel.Record) error {
	hooks := helmrel.Remaining(before).Hooks
	if len(hooks) == 0 {
		return nil
	}
	list, err := j.Client.Build(strings.NewReader(strings.Join(hooks, "\n---\n")), false)
	if err != nil {
		return err
	}
	if _, errs := j.Client.Delete(list); len(errs) > 0 {
		return errors.Join(errs...)
	}
	return j.Client.WaitForDelete(list, timeout)
}

// definitions brings the chart's CustomResourceDefinitions to the cluster before
// anything is rendered.
func (j Job) definitions(action helmrel.Action, timeout time.Duration) error {
	policy := j.Wish.CRDs(action)
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
func (j Job) uninstall(t helmrel.Target, before []helmrel.Record) error {
	spec := helmv2.Uninstall{}
	if j.Wish.Spec.Uninstall != nil {
		spec = *j.Wish.Spec.Uninstall
	}
	timeout := j.timeout(spec.Timeout)
	if err := j.clear(timeout, before); err != nil {
		return err
	}
	left, err := j.Client.Leave(top(before).Manifest)
	if err != nil {
		return err
	}
	if !spec.DisableWait {
		if err := j.Client.WaitForDelete(left, timeout); err != nil {
			return err
		}
	}
	a := helmaction.NewUninstall(j.configuration())
	a.Timeout = timeout
	a.IgnoreNotFound = true
	a.DisableHooks, a.KeepHistory, a.Wait = spec.DisableHooks, spec.KeepHistory, !spec.DisableWait
	a.DeletionPropagation = spec.DeletionPropagation
	if a.DeletionPropagation == "" {
		a.DeletionPropagation = "background"
	}
	_, err = a.Run(t.Name)
	if refused := j.Client.Refused(); err != nil && refused != nil {
		return refused // the SDK says only that it failed
	}
	return err
}
