package cli

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plumb-gitops/plumb/source"
	"github.com/plumb-gitops/plumb/source/store"
)

// storageFlags bound what sources may bring, and what is kept of it. Each limit is
// one flag; the errors of package source name them.
type storageFlags struct {
	retention time.Duration
	most      string
	sizes     map[string]*string // of limits in bytes, by flag
	counts    map[string]*int64  // of the other limits, by flag
}

// limitFlag is the flag of one limit.
type limitFlag struct {
	name, meaning string
	bytes         bool
	of            func(*source.Limits) *int64
}

var limitFlags = []limitFlag{
	{"max-archive-size", "largest download of an archive, a chart, a layer or an object", true, func(l *source.Limits) *int64 { return &l.ArchiveBytes }},
	{"max-tree-size", "most that all files of a source may have together", true, func(l *source.Limits) *int64 { return &l.TreeBytes }},
	{"max-file-size", "largest file of a source", true, func(l *source.Limits) *int64 { return &l.FileBytes }},
	{"max-index-size", "largest index of a Helm repository", true, func(l *source.Limits) *int64 { return &l.IndexBytes }},
	{"max-files", "most files of a source", false, func(l *source.Limits) *int64 { return &l.Files }},
	{"max-path-depth", "how many folders deep a file of a source may be", false, func(l *source.Limits) *int64 { return &l.Depth }},
	{"max-decompression-ratio", "how many times its size an archive may have when it is unpacked", false, func(l *source.Limits) *int64 { return &l.Ratio }},
}

func (f *storageFlags) add(flags *pflag.FlagSet) {
	defaults := source.DefaultLimits()
	f.sizes, f.counts = map[string]*string{}, map[string]*int64{}
	for _, limit := range limitFlags {
		usual := *limit.of(&defaults)
		if limit.bytes {
			f.sizes[limit.name] = flags.String(limit.name, resource.NewQuantity(usual, resource.BinarySI).String(), limit.meaning+"; 0 for no limit")
		} else {
			f.counts[limit.name] = flags.Int64(limit.name, usual, limit.meaning+"; 0 for no limit")
		}
	}
	flags.DurationVar(&f.retention, "storage-retention", time.Hour, "how long what sources brought stays after nobody needs it any more")
	flags.StringVar(&f.most, "storage-max-bytes", "0", "most that archives, charts and objects of sources may have on disk together; 0 for no limit")
}

// options are the flags as the backends take them.
func (f *storageFlags) options() (kept store.Options, limits source.Limits, err error) {
	for _, limit := range limitFlags {
		value := int64(0)
		if limit.bytes {
			if value, err = bytesOf(limit.name, *f.sizes[limit.name]); err != nil {
				return kept, limits, err
			}
		} else if value = *f.counts[limit.name]; value < 0 {
			return kept, limits, usage(fmt.Errorf("--%s %d: want 0 or more", limit.name, value))
		}
		*limit.of(&limits) = value
	}
	if f.retention < 0 {
		return kept, limits, usage(fmt.Errorf("--storage-retention %s: want 0 or more", f.retention))
	}
	kept.Retention = f.retention
	kept.MaxBytes, err = bytesOf("storage-max-bytes", f.most)
	return kept, limits, err
}

// bytesOf reads an amount of bytes as Kubernetes writes them.
func bytesOf(flag, text string) (int64, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() < 0 {
		return 0, usage(fmt.Errorf("--%s %s: want an amount such as 512Mi or 2Gi", flag, text))
	}
	return q.Value(), nil
}
