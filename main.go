// Plumb keeps Kubernetes clusters true to Git.
package main

import (
	"os"

	"github.com/plumb-gitops/plumb/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
