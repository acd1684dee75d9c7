package errlist

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	some := func(n int) []error {
		errs := []error{nil}
		for i := range n {
			errs = append(errs, fmt.Errorf("object %d", i), nil)
		}
		return errs
	}
	if err := Join(some(0)); err != nil {
		t.Errorf("no errors are %v", err)
	}
	for n, last := range map[int]string{1: "object 0", 10: "object 9", 12: "and 2 more"} {
		errs := some(n)
		lines := strings.Split(Join(errs).Error(), "\n")
		if len(lines) != min(n, Shown+1) || lines[0] != "object 0" || lines[len(lines)-1] != last || !errors.Is(Join(errs), errs[len(errs)-2]) {
			t.Errorf("%d errors are %q", n, lines)
		}
		if errs[1].Error() != "object 0" || errs[0] != nil {
			t.Error("the errors given were changed")
		}
	}
}
