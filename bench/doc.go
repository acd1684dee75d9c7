// Package bench measures Plumb on a development cluster, as counts and as ratios
// within one run. `make bench` runs it.
package bench
