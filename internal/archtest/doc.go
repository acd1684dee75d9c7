// Package archtest holds the shape of the code: which package may import which,
// who may write to a cluster, how long a file may be. The tables are in
// layers_test.go, the rules in rules_test.go.
package archtest
