package prune

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	kustomizev1 "github.com/plumb-gitops/plumb/api/kustomize/v1"
	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/live"
)

var unit = live.User{Kind: kustomizev1.KustomizationKind, NamespacedName: types.NamespacedName{Namespace: "flux-system", Name: "apps"}}

func TestDecide(t *testing.T) {
	t.Parallel()
	settings := key("shop", "settings", "", "v1", "ConfigMap")
	own := key("", "plumb-system", "", "v1", "Namespace")
	elsewhere := func(r *live.Record) { r.Owner = owner("team", "other") }
	kept := func(r *live.Record) { r.Keep = true }
	deleting := func(r *live.Record) { r.Deleting = true }
	for name, c := range map[string]struct {
		key     kube.Key
		record  []func(*live.Record)
		request Request
		verdict Verdict
		reason  string
	}{
		"ours, and free to go":     {key: settings, verdict: Delete},
		"another unit's":           {key: settings, record: []func(*live.Record){elsewhere}, verdict: Forget, reason: "it is managed by Kustomization team/other"},
		"not to be pruned":         {key: settings, record: []func(*live.Record){kept}, verdict: Forget, reason: "pruning is disabled by its annotation or label"},
		"not to be pruned, leave":  {key: settings, record: []func(*live.Record){kept}, request: Request{Leave: true}, verdict: Forget, reason: "pruning is disabled by its annotation or label"},
		"deleted already":          {key: settings, record: []func(*live.Record){deleting}, verdict: Wait, reason: "it is being deleted"},
		"deleted already, leave":   {key: settings, record: []func(*live.Record){deleting}, request: Request{Leave: true}, verdict: Wait, reason: "it is being deleted"},
		"another's and deleted":    {key: settings, record: []func(*live.Record){elsewhere, deleting}, verdict: Forget, reason: "it is managed by Kustomization team/other"},
		"kept and deleted":         {key: settings, record: []func(*live.Record){kept, deleting}, verdict: Forget, reason: "pruning is disabled by its annotation or label"},
		"our own namespace":        {key: own, verdict: Block, reason: "Plumb itself runs there"},
		"our own, with consent":    {key: own, request: Request{Consent: true}, verdict: Block, reason: "Plumb itself runs there"},
		"our own, to be left":      {key: own, request: Request{Leave: true}, verdict: Forget, reason: "Plumb itself runs there"},
		"a namespace with consent": {key: key("", "shop", "", "v1", "Namespace"), request: Request{Consent: true}, verdict: Delete},
		"a claim with consent":     {key: key("shop", "data", "", "v1", "PersistentVolumeClaim"), request: Request{Consent: true}, verdict: Delete},
		"a kind called Namespace":  {key: key("", "plumb-system", "example.com", "v1", "Namespace"), verdict: Delete},
		"of the namespace's name":  {key: key("", "plumb-system", "", "v1", "Node"), verdict: Delete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record := live.Record{Key: c.key, Owner: unit}
			for _, happens := range c.record {
				happens(&record)
			}
			c.request.Unit = unit
			p := &Pruner{OwnNamespace: "plumb-system"} // has no cluster: these need no request
			got, err := p.decide(t.Context(), c.request, candidate{key: c.key, record: record, known: true})
			if err != nil || got.Verdict != c.verdict || got.Reason != c.reason || got.Key != c.key || got.Deleted {
				t.Errorf("got %+v, %v, want %s, %q", got, err, c.verdict, c.reason)
			}
		})
	}
}

func TestOutsideOfAClusterThereIsNoOwnNamespace(t *testing.T) {
	t.Parallel()
	verdict, _, err := (&Pruner{}).ownNamespace(t.Context(), Request{}, candidate{key: key("", "plumb-system", "", "v1", "Namespace")})
	if verdict != "" || err != nil {
		t.Errorf("got %s, %v", verdict, err)
	}
}

func TestAutomatic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		object string
		want   bool
	}{
		"somebody's ConfigMap":        {`{kind: ConfigMap, metadata: {name: settings}}`, false},
		"the root certificate":        {`{kind: ConfigMap, metadata: {name: kube-root-ca.crt}}`, true},
		"the default account":         {`{kind: ServiceAccount, metadata: {name: default}}`, true},
		"somebody's account":          {`{kind: ServiceAccount, metadata: {name: builder}}`, false},
		"an account's token":          {`{kind: Secret, metadata: {name: t, annotations: {kubernetes.io/service-account.name: default}}}`, false},
		"somebody's Secret":           {`{kind: Secret, metadata: {name: default}}`, false},
		"an event":                    {`{kind: Event, metadata: {name: a}}`, true},
		"endpoints":                   {`{kind: Endpoints, metadata: {name: a}}`, true},
		"an endpoint slice":           {`{kind: EndpointSlice, metadata: {name: a}}`, true},
		"metrics":                     {`{kind: PodMetrics, metadata: {name: a}}`, true},
		"a pod of a replica set":      {`{kind: Pod, metadata: {name: a, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a, uid: u}]}}`, true},
		"a pod by itself":             {`{kind: Pod, metadata: {name: a}}`, false},
		"a pod without owners":        {`{kind: Pod, metadata: {name: a, ownerReferences: []}}`, false},
		"what is being deleted":       {`{kind: Pod, metadata: {name: a, deletionTimestamp: "2025-01-01T00:00:00Z"}}`, true},
		"a claim":                     {`{kind: PersistentVolumeClaim, metadata: {name: a}}`, false},
		"a custom kind named default": {`{kind: Database, metadata: {name: default}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(c.object), &obj.Object); err != nil {
				t.Fatal(err)
			}
			if got := automatic(obj); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func owner(namespace, name string) live.User {
	return live.User{Kind: kustomizev1.KustomizationKind, NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}
