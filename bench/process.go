package main

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
)

const mebi = 1 << 20

// ticks is how many clock ticks a second has in /proc (sysconf(_SC_CLK_TCK); 100
// on every Linux that is in use).
const ticks = 100

// seconds are CPU seconds until now, by process.
type seconds map[string]float64

// cpu is what the engine, the cluster's parts, this program with its Git servers,
// and the machine as a whole have used.
func (l *lab) cpu() seconds {
	s := seconds{"bench": spent(os.Getpid(), true), "machine": machine()}
	for name, pid := range l.pids {
		s[name] = spent(pid, false)
	}
	if l.engine != nil {
		s["engine"] = spent(l.engine.pid, false)
	}
	return s
}

// since is the difference to an earlier state, with what others used of the machine
// instead of all: how disturbed a figure is.
func (s seconds) since(before seconds) map[string]float64 {
	out := maps.Clone(s)
	for name := range out {
		out[name] -= before[name]
		if out[name] < 0 {
			out[name] = s[name] // a new process
		}
	}
	others := out["machine"]
	delete(out, "machine")
	for _, used := range out {
		others -= used
	}
	out["others"] = max(others, 0)
	for name := range out {
		out[name] = round(out[name])
	}
	return out
}

// total is what all that belongs to a measurement used.
func total(used map[string]float64) (all float64) {
	for name, s := range used {
		if name != "others" {
			all += s
		}
	}
	return all
}

// spent is the CPU time of a process, with that of its ended children if asked for
// (proc(5), /proc/PID/stat, fields 14 to 17); zero when there is none.
func spent(pid int, children bool) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	last := 13
	if children {
		last = 15
	}
	return sum(fields[11:last])
}

// machine is the CPU time of everything (proc(5), /proc/stat), idle time left out.
func machine() float64 {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 {
		return 0
	}
	return sum(fields[1:4]) + sum(fields[6:8]) // user, nice, system, irq, softirq
}

func sum(fields []string) (total float64) {
	for _, field := range fields {
		n, _ := strconv.ParseFloat(field, 64) // they are numbers
		total += n / ticks
	}
	return total
}

// memory is that of a process in MiB: resident, the anonymous part of it (what the
// program itself allocated; the rest is the binary, which the kernel can drop), and
// the peak since resetPeak.
type memory struct{ resident, anonymous, peak float64 }

func memoryOf(pid int) (m memory) {
	m.resident = kib(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss:")
	m.anonymous = kib(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Anonymous:")
	m.peak = kib(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
	return m
}

// resetPeak begins a new peak (proc(5), /proc/PID/clear_refs).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// kib is a line of a file of /proc, in MiB.
func kib(file, name string) float64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseFloat(fields[1], 64) // it is a number
			return n / 1024
		}
	}
	return 0
}
