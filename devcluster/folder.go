package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// stopGrace is how long a component may take to end after it was asked to.
const stopGrace = 10 * time.Second

func pidsFile(dir string) string { return filepath.Join(dir, "pids") }

// readProcesses are the components started in a folder. The file that lists
// them is also what marks the folder as a cluster's: without it, anything but an
// empty or missing folder is an error, because folders of clusters get removed.
func readProcesses(dir string) ([]process, error) {
	raw, err := os.ReadFile(pidsFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, isFree(dir)
	}
	if err != nil {
		return nil, err
	}
	var out []process
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("%s: %w; stop what runs there by hand, then remove the folder", pidsFile(dir), err)
	}
	return out, nil
}

func isFree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s: holds files and no cluster (no file named pids); give a new or empty folder as --dir", dir)
	}
	return nil
}

// writeProcesses stores what runs, after each start, so that a killed up leaves
// nothing that down does not know of.
func writeProcesses(dir string, all []process) error {
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	temporary := pidsFile(dir) + ".new"
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, pidsFile(dir))
}

// down stops what runs in dir, the last started first, and removes the folder.
// With keepData it leaves etcd's data, and the keys that signed what it holds.
func down(dir string, keepData bool) error {
	all, err := readProcesses(dir)
	if err != nil {
		return err
	}
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		errs = append(errs, all[i].stop(stopGrace))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !keepData {
		return remove(dir)
	}
	if len(all) > 0 {
		if err := writeProcesses(dir, nil); err != nil {
			return err
		}
	}
	return removeExcept(dir, "etcd", "pki", "pids")
}

// remove takes the mark last: a folder half removed is still a cluster's.
func remove(dir string) error {
	if err := removeExcept(dir, "pids"); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

func removeExcept(dir string, kept ...string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if !slices.Contains(kept, e.Name()) {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
