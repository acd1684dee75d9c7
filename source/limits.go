package source

// Limits bound what a source may bring, so that no server can fill the memory or
// the disk. Zero means no bound.
type Limits struct {
	ArchiveBytes int64 // of one download, as it comes
	TreeBytes    int64 // of all files of a tree
	FileBytes    int64 // of one file
	Files        int64 // files and links of a tree
	Depth        int64 // elements of a path
	Ratio        int64 // bytes unpacked for each byte of an archive
	IndexBytes   int64 // of a Helm repository's index
}

// DefaultLimits are those of the flags.
func DefaultLimits() Limits {
	return Limits{
		ArchiveBytes: 1 << 30,
		TreeBytes:    4 << 30,
		FileBytes:    256 << 20,
		Files:        500_000,
		Depth:        64,
		Ratio:        200,
		IndexBytes:   256 << 20,
	}
}

// The errors of each limit. what says which thing is too large.

// ArchiveTooLarge is the error of Limits.ArchiveBytes.
func (l Limits) ArchiveTooLarge(what string) error {
	return &LimitError{What: what, Limit: l.ArchiveBytes, Unit: "bytes", Flag: "--max-archive-size"}
}

// TreeTooLarge is the error of Limits.TreeBytes.
func (l Limits) TreeTooLarge(what string) error {
	return &LimitError{What: what, Limit: l.TreeBytes, Unit: "bytes", Flag: "--max-tree-size"}
}

// FileTooLarge is the error of Limits.FileBytes.
func (l Limits) FileTooLarge(what string) error {
	return &LimitError{What: what, Limit: l.FileBytes, Unit: "bytes", Flag: "--max-file-size"}
}

// TooManyFiles is the error of Limits.Files.
func (l Limits) TooManyFiles(what string) error {
	return &LimitError{What: what, Limit: l.Files, Unit: "files", Flag: "--max-files"}
}

// TooDeep is the error of Limits.Depth.
func (l Limits) TooDeep(what string) error {
	return &LimitError{What: what, Limit: l.Depth, Unit: "folders deep", Flag: "--max-path-depth"}
}

// TooDense is the error of Limits.Ratio.
func (l Limits) TooDense(what string) error {
	return &LimitError{What: what, Limit: l.Ratio, Unit: "times its compressed size", Flag: "--max-decompression-ratio"}
}

// IndexTooLarge is the error of Limits.IndexBytes.
func (l Limits) IndexTooLarge(what string) error {
	return &LimitError{What: what, Limit: l.IndexBytes, Unit: "bytes", Flag: "--max-index-size"}
}
