package scenario_test

import (
	"os"
	"os/exec"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumb-gitops/plumb/internal/scenario"
)

// keypair NAME: an SSH key to sign with; its file is $NAME, its public half $NAME_PUB.
func (s *script) keypair(args []string) {
	file := s.ts.MkAbs(args[0])
	out, err := exec.CommandContext(s.TB().Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "author@example.com", "-f", file).CombinedOutput()
	if err != nil {
		s.ts.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	public, err := os.ReadFile(file + ".pub")
	s.ts.Check(err)
	s.set(args[0]+"_PUB", strings.TrimSpace(string(public)))
	s.set(args[0], file)
}

// condition REF TYPE STATUS: waits until a condition has a status.
func (s *script) condition(args []string) {
	s.Until(s.ref(args[0]), args[1]+" is "+args[2], func(obj *unstructured.Unstructured) bool {
		c := scenario.Condition(obj, args[1])
		return c != nil && c.Status == metav1.ConditionStatus(args[2])
	})
}
