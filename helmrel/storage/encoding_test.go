package storage

import (
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/plumb-gitops/plumb/helmrel"
)

func sample() *release.Release {
	return release.Mock(&release.MockReleaseOptions{Name: "app", Version: 2, Namespace: "ns", Status: release.StatusDeployed,
		Chart: &chart.Chart{Metadata: &chart.Metadata{Name: "web", Version: "1.2.3"}}})
}

// TestTheSDKReadsWhatWeWrite and the other way round, with the fields that the SDK
// does not know kept by us.
func TestTheSDKReadsWhatWeWrite(t *testing.T) {
	t.Parallel()
	extra := extras{"later": []byte(`{"a":1}`)}
	extra.setMethod(helmrel.ServerSide)
	raw, err := marshal(sample(), extra)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := pack("sh.helm.release.v1.app.v2", sample(), raw)
	if err != nil {
		t.Fatal(err)
	}
	secret.Namespace = "ns"
	sdk := driver.NewSecrets(fake.NewClientset(secret).CoreV1().Secrets("ns"))
	read, err := sdk.Get(secret.Name)
	if err != nil {
		t.Fatal(err)
	}
	if helmrel.Digest(read) != helmrel.Digest(sample()) {
		t.Error("the SDK reads another release than we wrote")
	}
	k := &kept{secret: secret}
	ours, err := k.release()
	if err != nil {
		t.Fatal(err)
	}
	if string(k.extra[applyMethod]) != `"ssa"` || string(k.extra["later"]) != `{"a":1}` || len(k.extra) != 2 {
		t.Errorf("fields that the SDK does not know: %s", k.extra)
	}
	if helmrel.Digest(ours) != helmrel.Digest(sample()) {
		t.Error("we read another release than we wrote")
	}
}

func TestWeReadWhatTheSDKWrites(t *testing.T) {
	t.Parallel()
	clients := fake.NewClientset().CoreV1().Secrets("ns")
	if err := driver.NewSecrets(clients).Create("sh.helm.release.v1.app.v2", sample()); err != nil {
		t.Fatal(err)
	}
	secret, err := clients.Get(t.Context(), "sh.helm.release.v1.app.v2", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{secret: secret}
	record, err := k.record()
	if err != nil {
		t.Fatal(err)
	}
	if record.Digest != helmrel.Digest(sample()) || record.ApplyMethod != "" || record.Chart.Name != "web" || record.Version != 2 {
		t.Errorf("read %+v", record)
	}
	rel, err := k.release()
	if err != nil {
		t.Fatal(err)
	}
	if helmrel.Digest(rel) != record.Digest || len(k.extra) != 0 {
		t.Errorf("read %+v with %v", rel, k.extra)
	}
}

func TestWhatIsNoRecordIsSaid(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{"no base64": "!", "no JSON": "YWJj", "cut gzip": "H4sIAAAA"} {
		k := &kept{secret: &corev1.Secret{Data: map[string][]byte{"release": []byte(data)}}}
		if _, err := k.record(); err == nil {
			t.Errorf("%s: no error in brief", name)
		}
		if _, err := k.release(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTheSDKMayChangeWhatItGets: the next one who asks gets what is stored.
func TestTheSDKMayChangeWhatItGets(t *testing.T) {
	t.Parallel()
	rel := sample()
	rel.Config = map[string]any{"table": map[string]any{"a": "b"}}
	raw, err := marshal(rel, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := pack("sh.helm.release.v1.app.v2", rel, raw)
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{secret: secret}
	first, err := k.release()
	if err != nil {
		t.Fatal(err)
	}
	first.SetStatus(release.StatusSuperseded, "gone")
	first.Labels["mine"], first.Config["table"].(map[string]any)["a"], first.Hooks[0].LastRun.Phase = "x", "c", release.HookPhaseFailed
	if second, err := k.release(); err != nil || helmrel.Digest(second) != helmrel.Digest(rel) || len(second.Labels) > 0 {
		t.Errorf("got %+v, %v", second, err)
	}
}
