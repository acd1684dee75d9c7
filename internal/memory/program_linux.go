package memory

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Advice for madvise(2): take these pages first when memory is short, which also
// keeps them out of a container's working set, and no longer map them.
const (
	madvCold     = 20
	madvDontNeed = 4
)

// dropProgram unmaps the program's code and constants. They are never written, so
// the kernel reads from the file what is used again.
func dropProgram() {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return // not of this kind of system: then they stay
	}
	defer maps.Close()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range constants(maps, program) {
		for _, advice := range []uintptr{madvCold, madvDontNeed} {
			// Advice is never an error that matters: at worst the pages stay.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, advice)
		}
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// constants are the mappings of a file that nothing can write, from what
// /proc/PID/maps says (proc_pid_maps(5)).
func constants(maps io.Reader, file string) (out []mapping) {
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || strings.Join(fields[5:], " ") != file || !strings.HasPrefix(fields[1], "r-") {
			continue
		}
		var m mapping
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to); err == nil {
			out = append(out, m)
		}
	}
	return out
}
