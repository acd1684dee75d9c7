// Package api has the Go types of every kind, in a folder for each group and
// version; its own tests are about all of them together.
package api
