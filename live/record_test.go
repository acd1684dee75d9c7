package live

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/drift"
	"github.com/plumb-gitops/plumb/health"
	"github.com/plumb-gitops/plumb/internal/kube"
)

// parse makes an object as a client does: whole numbers are int64.
func parse(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	json, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(json); err != nil {
		t.Fatal(err)
	}
	return obj
}

// deployment is what a server holds of a Deployment that we applied and that
// has come up.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  uid: u1
  resourceVersion: "10"
  generation: 1
  annotations: {deployment.kubernetes.io/revision: "1"}
  labels: {app: web, kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}
  managedFields:
  - manager: kustomize-controller
    operation: Apply
    apiVersion: apps/v1
    time: "2025-01-01T00:00:00Z"
    fieldsType: FieldsV1
    fieldsV1:
      f:metadata:
        f:labels: {"f:app": {}, "f:kustomize.toolkit.fluxcd.io/name": {}, "f:kustomize.toolkit.fluxcd.io/namespace": {}}
      f:spec:
        f:replicas: {}
        f:selector: {}
        f:template:
          f:metadata: {"f:labels": {"f:app": {}}}
          f:spec:
            f:containers:
              k:{"name":"web"}:
                .: {}
                f:name: {}
                f:image: {}
                f:ports: {'k:{"containerPort":8080,"protocol":"TCP"}': {.: {}, "f:containerPort": {}}}
                f:env: {'k:{"name":"MODE"}': {.: {}, "f:name": {}, "f:value": {}}}
  - manager: kube-controller-manager
    operation: Update
    apiVersion: apps/v1
    time: "2025-01-01T00:00:00Z"
    fieldsType: FieldsV1
    subresource: status
    fieldsV1: {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}, "f:status": {"f:replicas": {}, "f:readyReplicas": {}}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        imagePullPolicy: IfNotPresent
        ports: [{containerPort: 8080, protocol: TCP}]
        env: [{name: MODE, value: prod}]
      restartPolicy: Always
status:
  observedGeneration: 1
  replicas: 2
  updatedReplicas: 2
  readyReplicas: 2
  availableReplicas: 2
  conditions:
  - {type: Available, status: "True"}
  - {type: Progressing, status: "True", reason: NewReplicaSetAvailable}
`

func TestReduce(t *testing.T) {
	t.Parallel()
	obj := parse(t, deployment)
	got := Reduce(units, obj)
	want := Record{
		Key:             kube.KeyOf(obj),
		Owner:           appsUnit,
		UID:             "u1",
		ResourceVersion: "10",
		Content:         drift.Content(obj),
		Owned:           drift.Owned(obj, "kustomize-controller"),
		Health:          health.Of(obj),
		Alone:           true,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Health.Status != health.Current || got.Owned == (drift.Hash{}) {
		t.Errorf("the sample is not what it should be: %+v", got)
	}
}

func TestReduceTellsWhoElseHoldsFields(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		managers string
		want     bool
	}{
		"nobody":                         {want: true},
		"we":                             {managers: `{manager: kustomize-controller, operation: Apply}`, want: true},
		"a controller, its status":       {managers: `{manager: kustomize-controller, operation: Apply}, {manager: c, operation: Update, subresource: status}`, want: true},
		"somebody":                       {managers: `{manager: kustomize-controller, operation: Apply}, {manager: kubectl-edit, operation: Update}`},
		"an autoscaler":                  {managers: `{manager: c, operation: Update, subresource: scale}`},
		"somebody who takes our name on": {managers: `{manager: kustomize-controller, operation: Update}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			obj := parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {managedFields: [`+c.managers+`]}}`)
			if got := Reduce(units, obj).Alone; got != c.want {
				t.Errorf("alone is %v, want %v", got, c.want)
			}
		})
	}
}

func TestReduceMarks(t *testing.T) {
	t.Parallel()
	const prune, reconcile = "kustomize.toolkit.fluxcd.io/prune", "kustomize.toolkit.fluxcd.io/reconcile"
	for name, c := range map[string]struct {
		metadata               string
		keep, frozen, deleting bool
	}{
		"none":                        {metadata: `{}`},
		"prune, by annotation":        {metadata: `{annotations: {` + prune + `: disabled}}`, keep: true},
		"prune, by label":             {metadata: `{labels: {` + prune + `: disabled}}`, keep: true},
		"prune, enabled":              {metadata: `{annotations: {` + prune + `: enabled}}`},
		"prune, in other letters":     {metadata: `{annotations: {` + prune + `: Disabled}}`, keep: true},
		"reconcile, by annotation":    {metadata: `{annotations: {` + reconcile + `: disabled}}`, keep: true, frozen: true},
		"reconcile, by label":         {metadata: `{labels: {` + reconcile + `: disabled}}`, keep: true, frozen: true},
		"deletion":                    {metadata: `{deletionTimestamp: "2025-01-01T00:00:00Z"}`, deleting: true},
		"label off, annotation is on": {metadata: `{labels: {` + prune + `: disabled}, annotations: {` + prune + `: enabled}}`, keep: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Reduce(units, parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: `+c.metadata+`}`))
			if r.Keep != c.keep || r.Frozen != c.frozen || r.Deleting != c.deleting {
				t.Errorf("got keep %v, frozen %v, deleting %v", r.Keep, r.Frozen, r.Deleting)
			}
			if r.Owner != (User{}) {
				t.Errorf("it has no owner labels, but the owner %s", r.Owner)
			}
		})
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b string
		want bool
	}{
		"before":             {"9", "10", true},
		"the same":           {"10", "10", false},
		"after":              {"10", "9", false},
		"more than 32 bits":  {"4294967296", "18446744073709551615", true},
		"none":               {"", "10", false},
		"none to compare to": {"10", "", false},
		"no number":          {"a", "b", false},
		"too big":            {"1", "18446744073709551616", false},
	} {
		if got := Older(c.a, c.b); got != c.want {
			t.Errorf("%s: Older(%q, %q) is %v", name, c.a, c.b, got)
		}
	}
}

func TestAlike(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(*Record)
		want    bool
	}{
		"nothing":                  {func(*Record) {}, true},
		"resource version":         {func(r *Record) { r.ResourceVersion = "11" }, true},
		"content that is not ours": {func(r *Record) { r.Content[0]++ }, true},
		"what is ours":             {func(r *Record) { r.Owned[0]++ }, false},
		"health":                   {func(r *Record) { r.Health.Status = health.InProgress }, false},
		"what health says":         {func(r *Record) { r.Health.Message = "x" }, false},
		"owner":                    {func(r *Record) { r.Owner.Name = "x" }, false},
		"identity":                 {func(r *Record) { r.UID = "u2" }, false},
		"deletion":                 {func(r *Record) { r.Deleting = true }, false},
		"prune mark":               {func(r *Record) { r.Keep = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := Reduce(units, parse(t, deployment))
			b := a
			c.happens(&b)
			if alike(a, b) != c.want || alike(b, a) != c.want {
				t.Errorf("alike is %v and %v, want %v", alike(a, b), alike(b, a), c.want)
			}
		})
	}
}

func BenchmarkReduce(b *testing.B) {
	obj := parse(b, deployment)
	b.ReportAllocs()
	for b.Loop() {
		Reduce(units, obj)
	}
}

// One object may carry the labels of a Kustomization and of a HelmRelease; each
// sees what it has itself.
func TestEachKindOfOwnerSeesItsOwn(t *testing.T) {
	t.Parallel()
	obj := parse(t, `
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: shop
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system, helm.toolkit.fluxcd.io/name: web, helm.toolkit.fluxcd.io/namespace: shop}
  annotations: {helm.toolkit.fluxcd.io/driftDetection: disabled}
  managedFields:
  - {manager: kustomize-controller, operation: Apply, fieldsV1: {"f:data": {"f:a": {}}}}
  - {manager: helm-controller, operation: Update, fieldsV1: {"f:data": {"f:b": {}}}}
data: {a: "1", b: "1"}
`)
	set, release := Reduce("Kustomization", obj), Reduce("HelmRelease", obj)
	if set.Owner != appsUnit || release.Owner.Kind != "HelmRelease" || release.Owner.String() != "shop/web" {
		t.Errorf("owners are %v and %v", set.Owner, release.Owner)
	}
	if set.Frozen || !release.Frozen {
		t.Error("the annotation is for the release alone")
	}
	if set.Owned == release.Owned || release.Owned == (drift.Hash{}) {
		t.Error("what each has applied is not told apart")
	}
	obj.SetLabels(nil)
	if r := Reduce("HelmRelease", obj); r.Owner != (User{}) {
		t.Errorf("without labels it belongs to %v", r.Owner)
	}
}
