package scenario_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"text/tabwriter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/plumb-gitops/plumb/internal/kube"
	"github.com/plumb-gitops/plumb/internal/scenario"
)

// show REF: prints an object as it is now, of whatever kind; compare with stdout.
func (s *script) show(args []string) {
	obj := s.Get(s.ref(args[0]))
	if obj == nil {
		s.ts.Fatalf("%s is not there", args[0])
	}
	raw, err := yaml.Marshal(obj.Object)
	s.ts.Check(err)
	_, err = s.ts.Stdout().Write(raw)
	s.ts.Check(err)
}

// allowed ACCOUNT VERB GROUP/RESOURCE: waits until a service account in $NS may do
// something there; the group of the core is empty.
func (s *script) allowed(args []string) {
	group, resource, _ := strings.Cut(args[2], "/")
	s.May(kube.ServiceAccount(s.NS, args[0]), true, scenario.Right{Namespace: s.NS, Verb: args[1], Group: group, Resource: resource})
}

// tells REGEXP ARGS...: a command of Plumb, again until it ends well and its output has
// what somebody else writes in his own time; compare with stdout.
func (s *script) tells(args []string) {
	wanted := regexp.MustCompile("(?m)" + args[0])
	s.Again("plumb tells "+args[0], func() bool {
		out, _, code := s.Plumb(s.ts.MkAbs("."), args[1:]...)
		if code != 0 || !wanted.MatchString(out) {
			return false
		}
		_, err := s.ts.Stdout().Write([]byte(out))
		s.ts.Check(err)
		return true
	})
}

// running: waits until the engine has read the cluster, and works.
func (s *script) running([]string) { s.Says(`msg=running`) }

// leading: waits until an engine has the lease in $NS.
func (s *script) leading([]string) {
	s.Until(s.ref("Lease/plumb-engine"), "somebody has it", func(obj *unstructured.Unstructured) bool {
		if obj == nil {
			return false
		}
		holder, _, _ := unstructured.NestedString(obj.Object, "spec", "holderIdentity")
		return holder != ""
	})
}

// steady: the engine has begun no watch since the mark.
func (s *script) steady([]string) {
	for _, e := range s.Audit(s.TB(), s.mark, s.NS) {
		if e.ImpersonateUser.Username == s.User() && e.Verb == "watch" && e.Stage == "ResponseStarted" {
			s.ts.Fatalf("a watch was begun: %s", e)
		}
	}
}

// table KIND NAMESPACE: what `kubectl get KIND -A` prints of the objects in a
// namespace; compare with stdout. The columns are those that the server sends.
func (s *script) table(args []string) {
	mapping, err := s.Mapping(s.ref(args[0] + "/any").GVK())
	s.ts.Check(err)
	address := strings.TrimSuffix(s.Config.Host, "/") + "/apis/" + mapping.Resource.Group + "/" + mapping.Resource.Version + "/namespaces/" + args[1] + "/" + mapping.Resource.Resource
	request, err := http.NewRequestWithContext(s.TB().Context(), http.MethodGet, address, nil)
	s.ts.Check(err)
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := s.HTTP.Do(request)
	s.ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.ts.Check(err)
	t := metav1.Table{}
	if err := json.Unmarshal(body, &t); err != nil || t.Kind != "Table" {
		s.ts.Fatalf("%s: no table: %v\n%s", address, err, body)
	}
	s.printTable(t)
}

func (s *script) printTable(t metav1.Table) {
	w := tabwriter.NewWriter(s.ts.Stdout(), 0, 0, 3, ' ', 0)
	fmt.Fprint(w, "NAMESPACE")
	for _, column := range t.ColumnDefinitions {
		if column.Priority == 0 {
			fmt.Fprint(w, "\t", strings.ToUpper(column.Name))
		}
	}
	for _, row := range t.Rows {
		of := metav1.PartialObjectMetadata{}
		s.ts.Check(json.Unmarshal(row.Object.Raw, &of))
		fmt.Fprint(w, "\n", of.Namespace)
		for i, cell := range row.Cells {
			if t.ColumnDefinitions[i].Priority == 0 {
				fmt.Fprint(w, "\t", cell)
			}
		}
	}
	fmt.Fprintln(w)
	s.ts.Check(w.Flush())
}
