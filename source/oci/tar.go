package oci

import (
	"bufio"
	"compress/gzip"
	"io"
)

// isArchive tells whether a stored blob is a tar file, plain or compressed.
func (c *Client) isArchive(hash string) (bool, error) {
	content, err := c.store.Open(hash)
	if err != nil {
		return false, err
	}
	defer content.Close()
	return isTar(content), nil
}

// isTar looks at the first block of a file: that of a tar has "ustar" at a fixed
// place (POSIX.1-1988, and GNU's form).
func isTar(r io.Reader) bool {
	const block, magic = 512, 257
	start := bufio.NewReader(r)
	if head, err := start.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		unpacked, err := gzip.NewReader(start)
		if err != nil {
			return false
		}
		start = bufio.NewReader(unpacked)
	}
	head, err := start.Peek(block)
	return err == nil && string(head[magic:magic+5]) == "ustar"
}
