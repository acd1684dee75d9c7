// Package testcluster tests what the development cluster does when things are
// not as they should be: the folder, the list of processes, the arguments, the
// time. None of it needs a whole cluster; internal/scenario has the rest.
package testcluster
