package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"
)

const nodeName = "devcluster"

// answers returns when an address answers 200. A server that is starting has no
// other way to say so, hence the short looks.
func (c *cluster) answers(ctx context.Context, url string, header http.Header) error {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // loopback, and only a status is read
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header = header
		if response, err := client.Do(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if last := c.running[len(c.running)-1]; !last.alive() {
			return fmt.Errorf("%s ended", last.Name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

func (c *cluster) apiReady(ctx context.Context) error {
	return c.answers(ctx, c.ports.url("https", c.ports.api)+"/readyz", http.Header{"Authorization": {"Bearer " + c.token}})
}

func (c *cluster) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfigFile(c.dir))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// releaseNode ends the lease that an earlier KWOK had on the node, where the data
// was kept: the new one, under another name, would wait 40 seconds for it.
func (c *cluster) releaseNode(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	err = client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Delete(ctx, nodeName, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// addNode adds the one node that KWOK plays, and waits until it is Ready.
func (c *cluster) addNode(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("10000"), corev1.ResourceMemory: resource.MustParse("100Ti"),
		corev1.ResourcePods: resource.MustParse("100000"), corev1.ResourceEphemeralStorage: resource.MustParse("100Ti"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels: map[string]string{"kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"}},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
	}
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return until(ctx, named(nodeName), client.CoreV1().Nodes().Watch, func(n *corev1.Node) bool {
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
}

// probe sees a Deployment through, which needs every component, then removes it.
func (c *cluster) probe(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := until(ctx, named("default"), client.CoreV1().ServiceAccounts("default").Watch, func(*corev1.ServiceAccount) bool { return true }); err != nil {
		return err
	}
	deployments := client.AppsV1().Deployments("default")
	labels := map[string]string{"app": "devcluster-probe"}
	probe := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "devcluster-probe"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}}},
		},
	}
	if _, err := deployments.Create(ctx, probe, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	err = until(ctx, named(probe.Name), deployments.Watch, func(d *appsv1.Deployment) bool { return d.Status.AvailableReplicas > 0 })
	if err != nil {
		return err
	}
	return deployments.Delete(ctx, probe.Name, metav1.DeleteOptions{})
}

func named(name string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
}

// until watches one object until it is as wanted.
func until[T any](ctx context.Context, o metav1.ListOptions, start func(context.Context, metav1.ListOptions) (watch.Interface, error), done func(*T) bool) error {
	events, err := start(ctx, o)
	if err != nil {
		return err
	}
	_, err = watchtools.UntilWithoutRetry(ctx, events, func(e watch.Event) (bool, error) {
		obj, ok := e.Object.(any).(*T)
		return ok && done(obj), nil
	})
	return err
}
