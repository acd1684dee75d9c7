package storage

import (
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
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
	secret, err := encode("sh.helm.release.v1.app.v2", sample(), extra)
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
	ours, kept, err := decode(secret)
	if err != nil {
		t.Fatal(err)
	}
	if kept.method() != helmrel.ServerSide || string(kept["later"]) != `{"a":1}` || len(kept) != 2 {
		t.Errorf("fields that the SDK does not know: %s", kept)
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
	rel, extra, err := decode(secret)
	if err != nil {
		t.Fatal(err)
	}
	if helmrel.Digest(rel) != helmrel.Digest(sample()) || extra.method() != "" || len(extra) != 0 {
		t.Errorf("read %+v with %v", rel, extra)
	}
}

func TestWhatIsNoRecordIsSaid(t *testing.T) {
	t.Parallel()
	secret, err := encode("sh.helm.release.v1.app.v2", sample(), extras{})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"no base64": "!", "no JSON": "YWJj", "cut gzip": "H4sIAAAA"} {
		secret.Data["release"] = []byte(data)
		if _, _, err := decode(secret); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
